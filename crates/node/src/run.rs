//! A node's life: start, join, serve, go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::calls::Calls;
use crate::config::{Advertise, Config};
use crate::driver::{Driver, Standing};
use crate::exit::Fatal;
use crate::inbox::{Inbox, Input};
use crate::options::OnSigterm;
use crate::protocols::Configured;
use crate::services::Services;
use crate::shared::Shared;
use crate::time::{Monotonic, wall_ms};
use crate::{deletions, hints, http, identity, pointers, quarantine, resolve, strays, trouble};
use overlay::{Departure, Node, NodeConfig, Settings, Start, State, View};
use replica::{Control, Need};
use ring::Places;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A record past its time is turned into a tombstone at the latest after this; no read returns it earlier either.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const EXPIRE_BATCH: usize = 4_096;
/// Names of seeds are resolved again this often while the node is not a member, and this often once it is.
const RESOLVE_SEARCHING: Duration = Duration::from_secs(1);
const RESOLVE_MEMBER: Duration = Duration::from_secs(15);
/// With `--advertise auto` a node looks at its own address this often.
const LOOK_AT_ADDRESS_EVERY: Duration = Duration::from_secs(2);
/// Neighbours have so long to be told of a departure.
const DEPART_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Operations under way have so long to end once the node is out.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// Whoever said that it only stops is waited for so long.
pub(crate) const STOPPED_FOR: Duration = Duration::from_secs(600);

/// What the process holds on to while it lives.
struct Running {
    shared: Arc<Shared>,
    standing: watch::Receiver<Standing>,
    /// `dht leave`.
    told_to_leave: Arc<Notify>,
    stop_serving: CancellationToken,
    ready_line: serde_json::Value,
}

/// Runs one node until it has left, stopped or failed.
pub(crate) async fn run<P: Configured>(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new()?;
    let running = start::<P>(config).await?;
    let departure = match join(&running, &mut signals).await? {
        Some(departure) => departure,
        None => serve(&running, &mut signals).await?,
    };
    let leave_timeout = running.shared.config.leave_timeout;
    let handed_over = tokio::select! {
        result = depart(&running, departure) => result?,
        () = signals.next() => return Err(Fatal::other(match departure {
            Departure::Leave => "ended at once by a second signal: records that were not handed over go with it, unless they are on its disk",
            Departure::Stop => "ended at once by a second signal, before its neighbours were told: what is on its disk is as it was",
        })),
        () = tokio::time::sleep(leave_timeout + DEPART_TIMEOUT * 2) => return Err(Fatal::other("the departure took too long; ended anyway")),
    };
    conclude(&running.shared, handed_over).await
}

async fn start<P: Configured>(config: Config) -> Result<Running, Fatal> {
    let time = Monotonic::start();
    let listener = bind("listen", &config.listen).await?;
    let bound = listener.local_addr().map_err(|error| Fatal::other(error.to_string()))?;
    let http_listener = match &config.http {
        Some(addr) => Some(bind("http", addr).await?),
        None => None,
    };
    let http_bound = http_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let protocol_config = P::configured(&config);
    let places = P::places(&protocol_config, config.space);
    let store = open_store(&config, places).await?;
    let addr = resolve::advertised(&config, bound).await?;
    let remembered = identity::recall(&store, &config, addr)?;
    let (inbox, inbox_reader) = Inbox::new();
    let calls = Calls::new(&config, &store, remembered.me.clone());
    let ready_line = ready_line(&config, &remembered.me, bound, http_bound);
    let seed: u64 = rand::random();
    let routing = config.routing.unwrap_or(P::ROUTING);
    let node_config = NodeConfig { routing, ..NodeConfig::default() };
    let node = Node::<P>::new(remembered.me.clone(), settings::<P>(&config), node_config, protocol_config, seed);
    let member = replica::Member { peer: remembered.me.clone(), store: store.number() };
    let mut control = Control::new(member, control_config(&config), remembered.pieces, seed.rotate_left(32));
    if remembered.ring.is_some() {
        control.was_here_before();
    }
    let view =
        View { me: remembered.me.clone(), state: State::Searching, ring: None, shares: Vec::new(), known: Vec::new() };
    let shared = Shared::new(config, (places, P::POINTERS), time, store, calls, inbox, view);
    quarantine::recall(&shared).await;
    let (driver, protocol, standing) = Driver::new(Arc::clone(&shared), node, control, inbox_reader, remembered.ring);
    let seeds = resolve::seeds(&shared.config.join).await;
    tokio::spawn(driver.run(Start {
        seeds,
        remembered: remembered.addresses,
        disk_ring: remembered.ring,
        wall_ms: wall_ms(),
    }));
    let told_to_leave = Arc::new(Notify::new());
    let stop_serving = CancellationToken::new();
    let services = Services::new(Arc::clone(&shared), protocol, Arc::clone(&told_to_leave), http_bound);
    services.spawn(listener, stop_serving.clone(), standing.clone());
    if let Some(listener) = http_listener {
        let prometheus = metrics_exporter_prometheus::PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| Fatal::other(format!("metrics: {error}")))?;
        tokio::spawn(http::serve(listener, Arc::clone(&shared), prometheus));
    }
    tokio::spawn(strays::run(Arc::clone(&shared)));
    tokio::spawn(expire(Arc::clone(&shared)));
    tokio::spawn(deletions::run(Arc::clone(&shared)));
    tokio::spawn(hints::run(Arc::clone(&shared)));
    if P::POINTERS {
        tokio::spawn(pointers::announce_keys(Arc::clone(&shared)));
    }
    tokio::spawn(keep_resolving(Arc::clone(&shared), standing.clone()));
    if shared.config.advertise == Advertise::Auto {
        tokio::spawn(keep_address(Arc::clone(&shared), bound));
    }
    Ok(Running { shared, standing, told_to_leave, stop_serving, ready_line })
}

async fn bind(name: &str, addr: &str) -> Result<TcpListener, Fatal> {
    TcpListener::bind(addr).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process listens there; stop it or choose another port (0 picks a free one)"
            }
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            std::io::ErrorKind::PermissionDenied => "this user may not; choose a port above 1023",
            _ => "choose another address",
        };
        Fatal::other(format!("{name}: cannot listen on {addr}: {error}; {advice}"))
    })
}

async fn open_store(config: &Config, places: Places) -> Result<Store, Fatal> {
    let Some(dir) = config.data_dir.clone() else {
        return Ok(Store::memory(places));
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, places)).await;
    match opened {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error)) => Err(Fatal::config(format!("data_dir: {error}"))),
        Err(error) => Err(Fatal::other(error.to_string())),
    }
}

/// What must be equal in a whole cluster, in order of name.
fn settings<P: Configured>(config: &Config) -> Settings {
    let own = P::settings(config).into_iter().map(|(name, value)| (name.to_owned(), value));
    let mut settings = vec![
        ("cluster".to_owned(), config.cluster.clone()),
        ("id_bits".to_owned(), config.space.bits().to_string()),
        ("protocol".to_owned(), config.protocol.clone()),
        ("replicas".to_owned(), config.replicas.to_string()),
        ("write_quorum".to_owned(), quorum(config.write_quorum)),
        ("read_quorum".to_owned(), quorum(config.read_quorum)),
        ("clock_drift_max".to_owned(), humantime::format_duration(config.clock_drift_max).to_string()),
        ("tombstone_grace".to_owned(), humantime::format_duration(config.tombstone_grace).to_string()),
    ];
    settings.extend(own);
    settings.sort();
    Settings(settings)
}

/// As it is configured.
fn quorum(need: Need) -> String {
    match need {
        Need::Majority => "majority".to_owned(),
        Need::All => "all".to_owned(),
        Need::Copies(copies) => copies.to_string(),
    }
}

fn control_config(config: &Config) -> replica::Config {
    replica::Config {
        replicas: config.replicas,
        lost_majority_after: config.lost_majority_after,
        stopped_for: STOPPED_FOR,
        refresh_period: Duration::from_secs(4),
        repair_period: config.repair_period,
    }
}

fn ready_line(config: &Config, me: &overlay::Peer, bound: SocketAddr, http: Option<SocketAddr>) -> serde_json::Value {
    serde_json::json!({
        "event": "ready",
        "id": me.id.to_string(),
        "listen": bound.to_string(),
        "http": http.map(|addr| addr.to_string()),
        "advertise": me.addr.to_string(),
        "protocol": config.protocol,
        "cluster": config.cluster,
    })
}

/// Waits until the node is a member. `Some`: it was told to go before that.
async fn join(running: &Running, signals: &mut Signals) -> Result<Option<Departure>, Fatal> {
    let config = &running.shared.config;
    let deadline = Instant::now() + config.join_timeout;
    let mut standing = running.standing.clone();
    loop {
        {
            let now = standing.borrow_and_update();
            failed(&now)?;
            if now.state == State::Ready {
                println!("{}", running.ready_line);
                return Ok(None);
            }
        }
        tokio::select! {
            changed = standing.changed() => changed.map_err(|_| Fatal::other("the overlay's task ended"))?,
            () = signals.next() => return Ok(Some(Departure::Stop)),
            () = tokio::time::sleep_until(deadline) => return Err(Fatal::join(not_joined(config, running.shared.view().state))),
        }
    }
}

fn not_joined(config: &Config, state: State) -> String {
    let waited = humantime::format_duration(config.join_timeout);
    let seeds = if config.join.is_empty() { "the peers remembered on disk".to_owned() } else { config.join.join(", ") };
    match state {
        State::Joining => format!(
            "join: found a member through {seeds}, but its neighbours did not take this node in within {waited}; look at their logs, or give it longer with --join-timeout"
        ),
        _ => format!(
            "join: no ready member answered at {seeds} within {waited}; check the addresses and that those nodes run, or start without --join to begin a new ring"
        ),
    }
}

fn failed(standing: &Standing) -> Result<(), Fatal> {
    match (&standing.refused, &standing.broken) {
        (Some(why), _) => Err(Fatal::join(format!("join: {why}"))),
        (_, Some(why)) => Err(Fatal::other(why.clone())),
        _ => Ok(()),
    }
}

/// Serves until told to go.
async fn serve(running: &Running, signals: &mut Signals) -> Result<Departure, Fatal> {
    let mut standing = running.standing.clone();
    loop {
        failed(&standing.borrow_and_update())?;
        tokio::select! {
            changed = standing.changed() => changed.map_err(|_| Fatal::other("the overlay's task ended"))?,
            () = running.told_to_leave.notified() => return Ok(Departure::Leave),
            () = signals.next() => {
                return Ok(match running.shared.config.on_sigterm {
                    OnSigterm::Leave => Departure::Leave,
                    OnSigterm::Stop => Departure::Stop,
                });
            }
        }
    }
}

/// Hands over if told to, tells the neighbours, and has everything on disk.
async fn depart(running: &Running, departure: Departure) -> Result<HandedOver, Fatal> {
    let shared = &running.shared;
    let handed_over = match (departure, shared.view().state) {
        (Departure::Stop, _) => HandedOver::NotAsked,
        (Departure::Leave, State::Ready | State::Joining) => hand_over(shared).await,
        (Departure::Leave, _) if shared.store.stats().keys == 0 => HandedOver::NotAsked,
        (Departure::Leave, _) => HandedOver::NotAll("its records: it has lost its ring".to_owned()),
    };
    if departure == Departure::Stop {
        shared.tasks.close();
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, shared.tasks.wait()).await;
    }
    shared.inbox.tell(Input::Depart(departure));
    let mut standing = running.standing.clone();
    let _ = tokio::time::timeout(DEPART_TIMEOUT, standing.wait_for(|standing| standing.state == State::Left)).await;
    running.stop_serving.cancel();
    keep_last_peers(shared);
    let flushed = shared.store.flush().await;
    flushed.map_err(|error| Fatal::other(format!("the store could not be flushed: {error}")))?;
    Ok(handed_over)
}

/// What is left to do, and to say, once the node is out.
async fn conclude(shared: &Shared, handed_over: HandedOver) -> Result<(), Fatal> {
    match handed_over {
        HandedOver::NotAsked => Ok(()),
        HandedOver::All => erase(shared).await,
        HandedOver::Last => {
            let keys = shared.store.stats().keys;
            match (keys, shared.store.is_durable()) {
                (0, _) => {}
                (_, true) => tracing::warn!(keys, "the last member leaves: its records stay in its data directory"),
                (_, false) => tracing::warn!(keys, "the last member leaves: its records end with it"),
            }
            Ok(())
        }
        HandedOver::NotAll(left) => Err(Fatal::other(format!(
            "left without having handed over {left}; what it held stays in the data directory, if there is one, and with the other holders"
        ))),
    }
}

enum HandedOver {
    /// It was not asked for, or there was nothing to hand over.
    NotAsked,
    All,
    /// Nobody else is there.
    Last,
    /// What is left.
    NotAll(String),
}

/// Until no set names this node and every stray has found its owner, or time is up.
async fn hand_over(shared: &Arc<Shared>) -> HandedOver {
    let deadline = Instant::now() + shared.config.leave_timeout;
    shared.inbox.tell(Input::Leave);
    loop {
        let Some(progress) = shared.inbox.leave_progress().await else {
            return HandedOver::NotAll("its records: the overlay's task ended".to_owned());
        };
        if progress.alone {
            return HandedOver::Last;
        }
        let mut strays = 0;
        if progress.remaining == 0 {
            let keys = shared.store.stats().keys;
            strays = strays::sweep(shared).await.map_or(u64::MAX, |left| left.unwrap_or(keys));
            if strays == 0 {
                return HandedOver::All;
            }
        }
        if Instant::now() >= deadline {
            return HandedOver::NotAll(match progress.remaining {
                0 => format!("{strays} records"),
                sets => format!("{sets} ranges"),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn keep_last_peers(shared: &Shared) {
    if shared.store.is_durable()
        && let Err(error) = identity::keep_peers(&shared.store, &shared.view().known)
    {
        tracing::warn!(%error, "the known peers could not be written to disk");
    }
}

/// Everything was handed over: nothing that a restart could bring back must stay.
async fn erase(shared: &Shared) -> Result<(), Fatal> {
    let circle = ring::Range::full(shared.config.space.zero());
    let gone = |error: store::StoreError| {
        Fatal::other(format!("handed over, but its own copies could not be erased: {error}"))
    };
    loop {
        let page = shared.store.list(circle, None, EXPIRE_BATCH).map_err(gone)?;
        if page.entries.is_empty() {
            break;
        }
        let entries = page.entries.into_iter().map(|entry| (entry.key, entry.version)).collect();
        shared.store.erase(entries).await.map_err(gone)?;
    }
    identity::forget_ring(&shared.store)
}

async fn expire(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        loop {
            match shared.store.expire(wall_ms(), EXPIRE_BATCH).await {
                Ok(expired) if expired >= EXPIRE_BATCH as u64 => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    trouble::of_store(&error.to_string());
                    break;
                }
            }
        }
    }
}

/// A seed's name may stand for other addresses tomorrow.
async fn keep_resolving(shared: Arc<Shared>, standing: watch::Receiver<Standing>) {
    if shared.config.join.is_empty() {
        return;
    }
    loop {
        let member = standing.borrow().state == State::Ready;
        tokio::time::sleep(if member { RESOLVE_MEMBER } else { RESOLVE_SEARCHING }).await;
        shared.inbox.tell(Input::Seeds(resolve::seeds(&shared.config.join).await));
    }
}

/// A container that was cut off may come back with another address, and everybody has to dial that one then.
async fn keep_address(shared: Arc<Shared>, bound: SocketAddr) {
    loop {
        tokio::time::sleep(LOOK_AT_ADDRESS_EVERY).await;
        // Without a network there is no address to speak of: the old one stands until there is another.
        match resolve::advertised(&shared.config, bound).await {
            Ok(addr) if addr != shared.me().addr => {
                tracing::warn!(%addr, "this machine has another address now");
                shared.inbox.tell(Input::Moved(addr));
            }
            _ => {}
        }
    }
}

/// SIGTERM and SIGINT alike.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fatal> {
        let listen = |kind| signal(kind).map_err(|error| Fatal::other(format!("signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
