//! `--dev-latency`: nodes of one machine made to seem far apart, for development.
//!
//! The file is a square matrix of round trips in milliseconds, white space or commas between the numbers, a host a
//! row. Empty lines and those that begin with `#` are passed over, and so is a first line without any number in it.
//! Which row a node is on follows from its advertised address alone, so that no node has to be told of another:
//!
//! > row = SHA-1(advertised address) modulo the number of rows, from 0; in a shell:
//! > `python3 -c "import hashlib; print(int(hashlib.sha1(b'127.0.0.1:7160').hexdigest(), 16) % 16)"`
//!
//! A call waits half of the caller's entry for the callee before it goes out and half after its answer has come back.
//! Two nodes on one row are 1 ms apart. The diagonal counts for nothing, and the matrix need not be symmetric.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use overlay::Addr;
use parking_lot::RwLock;
use ring::Space;
use transport::CallError;

/// Between two nodes on one row.
const SAME_ROW: Duration = Duration::from_millis(1);
/// No call lives longer than this, so a greater entry would only mean "never".
const ROUND_TRIP_MS_MAX: f64 = 10_000.0;

/// Round trips between hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LatencyMatrix {
    rows: Vec<Vec<Duration>>,
}

impl LatencyMatrix {
    /// Reads a file. Errors name it, the line and the column.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let numbered = (1..).zip(text.lines().map(fields));
        let mut lines = numbered.filter(|(_, fields)| !fields.is_empty()).peekable();
        lines.next_if(|(_, fields)| fields.iter().all(|(_, field)| field.parse::<f64>().is_err()));
        let mut rows: Vec<Vec<Duration>> = Vec::new();
        for (line, fields) in lines {
            let entry = |(column, field): (usize, &str)| {
                round_trip(field).map_err(|why| format!("line {line}, column {column}: `{field}` {why}"))
            };
            let row = fields.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
            if let Some(first) = rows.first().filter(|first| first.len() != row.len()) {
                return Err(format!("line {line} has {} numbers, the lines before it have {}", row.len(), first.len()));
            }
            rows.push(row);
        }
        match (rows.len(), rows.first().map_or(0, Vec::len)) {
            (0, _) => Err("there is no number in it".to_owned()),
            (lines, columns) if lines != columns => Err(format!(
                "it has {lines} rows of {columns} numbers, and has to be square: a row and a column for each host"
            )),
            _ => Ok(Self { rows }),
        }
    }

    /// How many hosts there are.
    fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of the node that is dialled there.
    fn row_of(&self, addr: &Addr) -> usize {
        let digest = Space::SHA1.hash(addr.as_str().as_bytes()).to_bytes();
        digest.iter().fold(0, |remainder, byte| (remainder * 256 + usize::from(*byte)) % self.len())
    }

    fn round_trip(&self, from: usize, to: usize) -> Duration {
        let entry = self.rows.get(from).and_then(|row| row.get(to)).copied();
        if from == to { SAME_ROW } else { entry.unwrap_or_default() }
    }
}

/// Fields between white space or commas, each with its place in the line, counted in fields from 1.
fn fields(line: &str) -> Vec<(usize, &str)> {
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    let fields = line.split(|at: char| at == ',' || at.is_whitespace()).filter(|field| !field.is_empty());
    (1..).zip(fields).collect()
}

fn round_trip(field: &str) -> Result<Duration, String> {
    match field.parse::<f64>() {
        Ok(ms) if ms < 0.0 => Err("is negative".to_owned()),
        Ok(ms) if ms <= ROUND_TRIP_MS_MAX => Ok(Duration::from_secs_f64(ms / 1_000.0)),
        Ok(ms) if ms > ROUND_TRIP_MS_MAX => Err(format!("is more than {ROUND_TRIP_MS_MAX} ms")),
        _ => Err("is not a number of milliseconds".to_owned()),
    }
}

/// How far this node is from others.
pub(crate) struct DevLatency {
    matrix: Arc<LatencyMatrix>,
    row: RwLock<usize>,
}

impl DevLatency {
    pub(crate) fn new(matrix: Arc<LatencyMatrix>, me: &Addr) -> Self {
        let row = matrix.row_of(me);
        tracing::warn!(
            %me,
            row,
            rows = matrix.len(),
            "DEVELOPMENT ONLY: --dev-latency DELAYS every call to another node on purpose; never use it for real data"
        );
        Self { matrix, row: RwLock::new(row) }
    }

    /// This node is dialled elsewhere now.
    pub(crate) fn set_me(&self, me: &Addr) {
        *self.row.write() = self.matrix.row_of(me);
    }

    /// A call to `addr` that has so long.
    pub(crate) fn journey(&self, addr: &Addr, timeout: Duration) -> Journey {
        Journey::new(self.matrix.round_trip(*self.row.read(), self.matrix.row_of(addr)), timeout)
    }
}

/// One call's way there and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Journey {
    half: Duration,
    /// What is left of the call's timeout for the call itself; none if the way alone takes longer.
    rest: Option<Duration>,
    timeout: Duration,
}

impl Journey {
    fn new(round_trip: Duration, timeout: Duration) -> Self {
        Self { half: round_trip / 2, rest: timeout.checked_sub(round_trip), timeout }
    }

    /// The way of a call that is not delayed.
    pub(crate) fn none(timeout: Duration) -> Self {
        Self::new(Duration::ZERO, timeout)
    }

    /// The call's own timeout.
    pub(crate) fn rest(self) -> Duration {
        self.rest.unwrap_or_default()
    }

    /// By how much a measured round trip is too short.
    pub(crate) fn round_trip(self) -> Duration {
        self.half * 2
    }

    /// Makes the call when it would have arrived, and ends when its answer would be back.
    pub(crate) async fn there_and_back<T>(
        self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        if self.half.is_zero() {
            return call.await;
        }
        if self.rest.is_none() {
            tokio::time::sleep(self.timeout).await;
            return Err(CallError::TimedOut);
        }
        tokio::time::sleep(self.half).await;
        let answer = call.await;
        tokio::time::sleep(self.half).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn addr(port: u16) -> Addr {
        Addr::new(&format!("127.0.0.1:{port}")).unwrap()
    }

    #[test]
    fn a_matrix_is_read_with_spaces_commas_comments_and_a_header() {
        let plain = LatencyMatrix::parse("0 10\n20.5 0\n").unwrap();
        assert_eq!((plain.round_trip(0, 1), plain.round_trip(1, 0)), (ms(10), Duration::from_micros(20_500)));
        for same in ["0,10\n20.5,0", "# two hosts\n\n a, b\n 0,\t10 \n20.5 , 0\n\n", "hosts\n0 10\n# half\n20.5 0"] {
            assert_eq!(LatencyMatrix::parse(same).as_ref(), Ok(&plain), "{same}");
        }
    }

    #[test]
    fn the_diagonal_counts_for_nothing() {
        let matrix = LatencyMatrix::parse("7 10\n10 9").unwrap();
        assert_eq!((matrix.round_trip(0, 0), matrix.round_trip(1, 1)), (ms(1), ms(1)));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        for (text, why) in [
            ("", "there is no number in it"),
            ("# nothing\na b\n", "there is no number in it"),
            ("0 1\n1 x\n", "line 2, column 2: `x` is not a number of milliseconds"),
            ("a b\n0 1\n1 x\n", "line 3, column 2: `x` is not a number of milliseconds"),
            ("0 NaN\n1 0", "line 1, column 2: `NaN` is not a number of milliseconds"),
            ("0 -3\n1 0", "line 1, column 2: `-3` is negative"),
            ("0 inf\n1 0", "line 1, column 2: `inf` is more than 10000 ms"),
            ("0 1\n1 0 5\n", "line 2 has 3 numbers, the lines before it have 2"),
            ("0 1 2\n1 0 2", "it has 2 rows of 3 numbers, and has to be square: a row and a column for each host"),
        ] {
            assert_eq!(LatencyMatrix::parse(text), Err(why.to_owned()), "{text}");
        }
        let error = LatencyMatrix::read(Path::new("/nowhere/matrix.txt")).unwrap_err();
        assert!(error.starts_with("cannot read /nowhere/matrix.txt: "), "{error}");
    }

    #[test]
    fn a_nodes_row_is_the_sha_1_of_its_address_modulo_the_rows() {
        let matrix = LatencyMatrix::parse(include_str!("../../../config/latency-sample.txt")).unwrap();
        assert_eq!(matrix.len(), 16);
        // By the command in the module's text.
        assert_eq!([7160, 7161, 7162, 7163].map(|port| matrix.row_of(&addr(port))), [13, 2, 5, 8]);
        let three = LatencyMatrix::parse("0 1 2\n1 0 2\n1 2 0").unwrap();
        assert_eq!([7160, 7161, 7162, 7163].map(|port| three.row_of(&addr(port))), [1, 0, 2, 2]);
    }

    #[test]
    fn the_sample_is_four_sites_of_four_hosts() {
        let matrix = LatencyMatrix::parse(include_str!("../../../config/latency-sample.txt")).unwrap();
        for (from, to) in (0..16).flat_map(|from| (0..16).map(move |to| (from, to))).filter(|(from, to)| from != to) {
            let round_trip = matrix.round_trip(from, to);
            let expected = if from / 4 == to / 4 { ms(1)..=ms(2) } else { ms(30)..=ms(120) };
            assert!(expected.contains(&round_trip), "{from} to {to}: {round_trip:?}");
            assert_eq!(round_trip, matrix.round_trip(to, from));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_takes_its_way_there_and_back_and_the_rest_is_its_own() {
        let begun = tokio::time::Instant::now();
        let journey = Journey::new(ms(60), ms(200));
        assert_eq!((journey.rest(), journey.round_trip()), (ms(140), ms(60)));
        let call = async {
            assert_eq!(begun.elapsed(), ms(30));
            tokio::time::sleep(ms(5)).await;
            Ok(7)
        };
        assert_eq!(journey.there_and_back(call).await, Ok(7));
        assert_eq!(begun.elapsed(), ms(65));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_too_far_away_never_answers_in_time() {
        let begun = tokio::time::Instant::now();
        let called = Journey::new(ms(300), ms(200)).there_and_back(async { panic!("it never arrives") });
        assert_eq!(called.await, Err::<(), _>(CallError::TimedOut));
        assert_eq!(begun.elapsed(), ms(200));
        assert_eq!(Journey::none(ms(200)).there_and_back(async { Ok(1) }).await, Ok(1));
        assert_eq!(begun.elapsed(), ms(200), "and who is not far at all, at once");
    }
}
