//! `--dev-faults`: a network that loses calls and a clock that is wrong, on purpose, for development.
//!
//! The file holds a fault a line; empty lines and those that begin with `#` are passed over. It is looked at every
//! 50 ms and read again when it has changed, so that faults come and go while the node runs. No file, or nothing in it,
//! means no faults.
//!
//! > `cut HOST:PORT`: calls to that address get lost, and end when their time is over. Who calls from there is not
//! > known by address, so a cut is written at both ends.
//! > `lose 0.05`: that share of all calls gets lost, half of them on the way there and half on the way back, when what
//! > they ask for has been done.
//! > `delay 50ms`: each call waits up to so long before it goes out.
//! > `clock +1500ms` or `clock -1500ms`: this node's wall clock is so far ahead, or behind.
//!
//! A line that is none of these is reported in the log with its place, and passed over. Of two lines that say the same
//! thing differently the later one counts.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use overlay::Addr;
use parking_lot::RwLock;
use tokio::time::{Instant, sleep, sleep_until};
use transport::CallError;

use crate::time::set_wall_ahead_ms;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// No call lives longer than this, so a longer delay would only mean "never".
const DELAY_MAX: Duration = Duration::from_secs(10);

/// What a file asks for.
#[derive(Clone, PartialEq, Debug, Default)]
struct Faults {
    cut: HashSet<Addr>,
    /// Of 1.
    lose: f64,
    delay_max: Duration,
    clock_ahead_ms: i64,
}

impl Faults {
    /// What the good lines say, and what is wrong with the others.
    fn parse(text: &str) -> (Self, Vec<String>) {
        let mut faults = Self::default();
        let mut wrong = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(why) = faults.take(line) {
                wrong.push(format!("line {number}: `{line}` {why}"));
            }
        }
        (faults, wrong)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            ["cut", addr] => {
                self.cut.insert(address(addr)?);
            }
            ["lose", share] => self.lose = share_of_one(share)?,
            ["delay", longest] => self.delay_max = delay(longest)?,
            ["clock", ahead] => self.clock_ahead_ms = ahead_ms(ahead)?,
            [name @ ("cut" | "lose" | "delay" | "clock"), rest @ ..] => {
                return Err(format!("has {} words after `{name}`, it takes one", rest.len()));
            }
            _ => return Err("is not a fault: those are cut, lose, delay and clock".to_owned()),
        }
        Ok(())
    }
}

fn address(field: &str) -> Result<Addr, String> {
    let (host, port) = field.rsplit_once(':').unwrap_or_default();
    match Addr::new(field) {
        Some(addr) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(addr),
        _ => Err("does not name HOST:PORT".to_owned()),
    }
}

fn share_of_one(field: &str) -> Result<f64, String> {
    match field.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("does not name a share of 0 to 1".to_owned()),
    }
}

fn delay(field: &str) -> Result<Duration, String> {
    match humantime::parse_duration(field) {
        Ok(longest) if longest <= DELAY_MAX => Ok(longest),
        Ok(_) => Err(format!("is more than {}", humantime::format_duration(DELAY_MAX))),
        Err(error) => Err(format!("does not name a duration such as 50ms: {error}")),
    }
}

fn ahead_ms(field: &str) -> Result<i64, String> {
    let how_far = |text: &str| {
        let parsed = humantime::parse_duration(text).map_err(|error| format!("does not name a duration: {error}"))?;
        i64::try_from(parsed.as_millis()).map_err(|_| "is too far".to_owned())
    };
    match (field.strip_prefix('+'), field.strip_prefix('-')) {
        (Some(ahead), _) => how_far(ahead),
        (_, Some(behind)) => how_far(behind).map(|ms| -ms),
        _ => Err("does not begin with + for ahead or - for behind".to_owned()),
    }
}

/// What is wrong with a file, if anything is: that it is not there, or a line of it.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {file}: {error}"))?;
    match Faults::parse(&text).1.first() {
        Some(why) => Err(format!("{file}: {why}")),
        None => Ok(()),
    }
}

/// The faults of this node, as its file has them now.
#[derive(Debug)]
pub(crate) struct DevFaults {
    path: PathBuf,
    now: RwLock<Faults>,
}

impl DevFaults {
    /// Takes the file's faults up, and what it changes to from now on.
    pub(crate) fn watch(path: &Path) -> Arc<Self> {
        tracing::warn!(
            file = %path.display(),
            "DEVELOPMENT ONLY: --dev-faults LOSES calls to other nodes and sets this node's clock WRONG on purpose; never use it for real data"
        );
        let this = Arc::new(Self { path: path.to_owned(), now: RwLock::default() });
        let mut text = String::new();
        this.look(std::fs::read_to_string(path), &mut text);
        let watched = Arc::downgrade(&this);
        tokio::spawn(async move {
            loop {
                sleep(LOOK_EVERY).await;
                let Some(this) = watched.upgrade() else { return };
                let read = tokio::fs::read_to_string(&this.path).await;
                this.look(read, &mut text);
            }
        });
        this
    }

    /// Does what the file says if that is not the `text` of the last time.
    fn look(&self, read: std::io::Result<String>, text: &mut String) {
        let file = self.path.display();
        let read = match read {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                tracing::debug!(%file, %error, "the faults cannot be read just now: they stay as they were");
                return;
            }
        };
        if read == *text {
            return;
        }
        let (faults, wrong) = Faults::parse(&read);
        for why in wrong {
            tracing::error!(%file, "dev_faults: {file}: {why}; the line is ignored");
        }
        tracing::warn!(%file, ?faults, "dev_faults: other faults from now on");
        set_wall_ahead_ms(faults.clock_ahead_ms);
        *self.now.write() = faults;
        *text = read;
    }

    /// What happens to a call to `addr` that has so long.
    pub(crate) fn fate(self: &Arc<Self>, addr: &Addr, timeout: Duration) -> Fate {
        let now = self.now.read();
        let lot: f64 = rand::random();
        let lost = match () {
            () if now.cut.contains(addr) || lot < now.lose / 2.0 => Lost::There,
            () if lot < now.lose => Lost::Back,
            () => Lost::Not,
        };
        let delay = now.delay_max.mul_f64(rand::random()).min(timeout);
        Fate { timeout, delay, lost, cut_later: Some((Arc::clone(self), addr.clone())) }
    }

    fn is_cut(&self, addr: &Addr) -> bool {
        self.now.read().cut.contains(addr)
    }
}

/// Where a call gets lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    Not,
    There,
    Back,
}

/// What happens to one call on its way.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    timeout: Duration,
    delay: Duration,
    lost: Lost,
    /// A cut that comes while the call is under way loses its answer.
    cut_later: Option<(Arc<DevFaults>, Addr)>,
}

impl Fate {
    /// Nothing happens to it.
    pub(crate) fn none(timeout: Duration) -> Self {
        Self { timeout, delay: Duration::ZERO, lost: Lost::Not, cut_later: None }
    }

    /// What is left of the call's time for the call itself.
    pub(crate) fn rest(&self) -> Duration {
        self.timeout.saturating_sub(self.delay)
    }

    /// By how much a measured round trip is too short.
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// Makes the call unless it gets lost, and returns its answer unless that does. A lost call ends with its time.
    pub(crate) async fn befall<T>(self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let over = Instant::now() + self.timeout;
        if self.lost != Lost::There {
            if !self.delay.is_zero() {
                sleep(self.delay).await;
            }
            let answer = call.await;
            let cut = || self.cut_later.as_ref().is_some_and(|(faults, addr)| faults.is_cut(addr));
            if self.lost == Lost::Not && !cut() {
                return answer;
            }
        }
        sleep_until(over).await;
        Err(CallError::TimedOut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn addr(text: &str) -> Addr {
        Addr::new(text).unwrap()
    }

    /// One whose file is what a test says it is.
    fn with(text: &str) -> Arc<DevFaults> {
        let faults = Arc::new(DevFaults { path: "faults".into(), now: RwLock::default() });
        faults.look(Ok(text.to_owned()), &mut String::new());
        faults
    }

    #[test]
    fn each_line_is_a_fault_and_the_last_word_counts() {
        let text =
            "# a bad day\n\n  cut 127.0.0.1:7160\ncut [::1]:7161 \nlose 0.5\nlose 0.05\ndelay 50ms\nclock -1500ms";
        let (faults, wrong) = Faults::parse(text);
        assert_eq!(wrong, [""; 0]);
        let cut = HashSet::from([addr("127.0.0.1:7160"), addr("[::1]:7161")]);
        assert_eq!(faults, Faults { cut, lose: 0.05, delay_max: ms(50), clock_ahead_ms: -1_500 });
        assert_eq!(Faults::parse("clock +2s").0.clock_ahead_ms, 2_000);
        assert_eq!(Faults::parse("").0, Faults::default());
    }

    #[test]
    fn a_line_that_is_wrong_is_told_with_its_place_and_the_others_count() {
        for (line, why) in [
            ("cut", "has 0 words after `cut`, it takes one"),
            ("lose 0.1 0.2", "has 2 words after `lose`, it takes one"),
            ("cut 7160", "does not name HOST:PORT"),
            ("cut host:port", "does not name HOST:PORT"),
            ("cut :7160", "does not name HOST:PORT"),
            ("lose 1.5", "does not name a share of 0 to 1"),
            ("lose NaN", "does not name a share of 0 to 1"),
            ("lose -0.1", "does not name a share of 0 to 1"),
            ("delay 11s", "is more than 10s"),
            ("clock 1500ms", "does not begin with + for ahead or - for behind"),
            ("clock +999999999y", "is too far"),
            ("burn it", "is not a fault: those are cut, lose, delay and clock"),
        ] {
            let (faults, wrong) = Faults::parse(&format!("delay 5ms\n{line}\ncut a:1"));
            assert_eq!(wrong, [format!("line 2: `{line}` {why}")]);
            let rest = Faults { cut: HashSet::from([addr("a:1")]), delay_max: ms(5), ..Faults::default() };
            assert_eq!(faults, rest);
        }
        for line in ["delay soon", "clock +soon"] {
            assert!(Faults::parse(line).1[0].contains("does not name a duration"), "{line}");
        }
    }

    #[test]
    fn a_file_that_is_gone_or_empty_means_no_faults() {
        let (faults, mut text) = (with(""), String::new());
        faults.look(Ok("cut a:1".to_owned()), &mut text);
        assert!(faults.is_cut(&addr("a:1")) && !faults.is_cut(&addr("a:2")));
        faults.look(Err(ErrorKind::PermissionDenied.into()), &mut text);
        assert!(faults.is_cut(&addr("a:1")), "what cannot be read says nothing");
        faults.look(Err(ErrorKind::NotFound.into()), &mut text);
        assert_eq!(*faults.now.read(), Faults::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_to_who_is_cut_off_never_goes_out_and_ends_with_its_time() {
        let (faults, begun) = (with("cut a:1"), Instant::now());
        let lost = faults.fate(&addr("a:1"), ms(300)).befall(async { panic!("it never arrives") });
        assert_eq!(lost.await, Err::<(), _>(CallError::TimedOut));
        assert_eq!(begun.elapsed(), ms(300));
        assert_eq!(faults.fate(&addr("a:2"), ms(300)).befall(async { Ok(7) }).await, Ok(7));
        assert_eq!(begun.elapsed(), ms(300));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_meets_a_cut_is_lost() {
        let (faults, begun) = (with(""), Instant::now());
        let call = async {
            sleep(ms(10)).await;
            faults.look(Ok("cut a:1".to_owned()), &mut String::new());
            Ok(7)
        };
        assert_eq!(faults.fate(&addr("a:1"), ms(300)).befall(call).await, Err(CallError::TimedOut));
        assert_eq!(begun.elapsed(), ms(300));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_lost_calls_are_carried_out_all_the_same() {
        let faults = with("lose 0.5");
        let (mut carried_out, mut answered) = (0, 0);
        for _ in 0..2_000 {
            let call = async {
                carried_out += 1;
                Ok(())
            };
            answered += usize::from(faults.fate(&addr("a:1"), ms(1)).befall(call).await.is_ok());
        }
        assert!((1_400..1_600).contains(&carried_out), "{carried_out} of 2000 carried out, should be about 1500");
        assert!((900..1_100).contains(&answered), "{answered} of 2000 answered, should be about 1000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_part_of_the_calls_time() {
        let (faults, begun) = (with("delay 50ms"), Instant::now());
        let fate = faults.fate(&addr("a:1"), ms(200));
        assert_eq!(fate.rest() + fate.delay(), ms(200));
        let delay = fate.delay();
        assert_eq!(fate.befall(async { Ok(1) }).await, Ok(1));
        assert!(begun.elapsed() >= delay && begun.elapsed() <= ms(51), "{:?}", begun.elapsed());
        assert_eq!(Fate::none(ms(200)).rest(), ms(200));
    }
}
