use clap::CommandFactory;

use super::*;
use crate::options::Cli;

fn toml(text: &str) -> Result<Given, String> {
    Given::from_toml(Path::new("config/dhtd.toml"), text).map_err(|fatal| fatal.message)
}

fn flags(args: &[&str]) -> Given {
    Given::from_matches(&Cli::command().get_matches_from([&["dhtd"], args].concat()))
}

#[test]
fn what_is_not_toml_or_no_key_is_named_with_its_line() {
    for (text, error) in [
        ("\n= nonsense", "config/dhtd.toml:2: "),
        ("replicas = 3\nreplicas = 4", "config/dhtd.toml:2: duplicate key"),
        ("replicas = 3\nsuccesors = 8", "config/dhtd.toml:2: unknown key `succesors`; the keys are the flags"),
        ("write-quorum = 2", "config/dhtd.toml:1: unknown key `write-quorum`; it is written `write_quorum`"),
        ("successors = 8", "config/dhtd.toml:1: `successors` does not belong here: write `successors` under [chord]"),
        ("[chord]\nreplicas = 3", "config/dhtd.toml:2: `replicas` does not belong here: write `replicas` above all"),
        (
            "[chord]\nperiod = \"1s\"",
            "config/dhtd.toml:2: unknown key `period`; the keys of [chord] are successors, stabilize_period, fix_fingers_period",
        ),
        ("\n[tapestry]\n", "config/dhtd.toml:2: unknown table; there are [chord], [pastry] and [kelips]"),
        ("chord = 3", "config/dhtd.toml:1: `chord` is a table here: write [chord] and its settings below"),
    ] {
        let said = toml(text).expect_err(text);
        assert!(said.starts_with(error), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn whatever_is_wrong_is_said_of_the_place_that_it_came_from() {
    let wrong = |given: Given| given.duration("join_timeout", DEFAULT, (DEFAULT, DEFAULT)).unwrap_err().message;
    const DEFAULT: Duration = Duration::from_secs(30);
    let expected = "expected a duration from 30s to 30s, such as 30s";
    assert_eq!(wrong(flags(&["--join-timeout", "soon"])), format!("--join-timeout soon: {expected}"));
    let file = || toml("\njoin_timeout = \"later\"").unwrap();
    assert_eq!(wrong(file()), format!("config/dhtd.toml:2: join_timeout = \"later\": {expected}"));
    let environment = Setting { value: "never".into(), kind: Kind::Plain, place: Place::Environment };
    let environment = Given([("join_timeout".to_owned(), environment)].into());
    assert_eq!(wrong(environment.over(file())), format!("DHTD_JOIN_TIMEOUT=never: {expected}"));
}

#[test]
fn flags_variables_and_keys_are_named_alike() {
    let command = Cli::command();
    for key in file::Keys::known().all() {
        let arg = command.get_arguments().find(|arg| arg.get_id() == key.as_str()).expect("a flag");
        assert_eq!(arg.get_long(), Some(key.replace('_', "-").as_str()));
        assert_eq!(arg.get_env(), Some(format!("DHTD_{}", key.to_uppercase()).as_ref()));
    }
}

#[test]
fn a_variable_that_sets_nothing_is_refused() {
    let check = |names: &[&str]| Given::check_names(names.iter().map(|name| (*name).to_owned()));
    check(&["DHTD_JOIN", "DHTD_CONFIG", "DHTD_LEAF_SET", "PATH", "MY_DHTD_JOIN", "DHTD_SERVICE_HOST"]).unwrap();
    let error = check(&["DHTD_JOIN", "DHTD_JION"]).unwrap_err();
    assert_eq!(error.message, "DHTD_JION: no setting is called so; see `dhtd --help`");
}

#[test]
fn a_long_value_is_cut_short() {
    let text = format!("replicas = \"{}\"", "x".repeat(1_000));
    let said = toml(&text).unwrap().number("replicas", 3, (1, 16)).unwrap_err().message;
    assert!(said.ends_with("xxx…: expected a number from 1 to 16") && said.len() < 160, "{said}");
}

#[test]
fn durations_are_shown_as_one_would_write_them() {
    for text in ["0s", "20ms", "1500ms", "90s", "10min", "1h", "36h", "1day", "3650days"] {
        assert_eq!(Span(humantime::parse_duration(text).unwrap()).to_string(), text);
    }
}
