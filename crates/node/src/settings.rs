//! Settings as they were given, each with its place: a flag, an environment variable, or a line of the TOML file.
//!
//! A setting is text until it is read, and is read by the same code wherever it comes from. So whatever is wrong with it
//! is said of the place where somebody can mend it, together with what it may be:
//!
//! > `config/chord.toml:12: write_quorum = "most": expected one, majority, all or a number from 1 to 3`

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::exit::Fatal;

/// Every setting that was given, by its key.
#[derive(Debug, Default)]
pub struct Given(BTreeMap<String, Setting>);

#[derive(Debug)]
struct Setting {
    /// Several are joined by commas.
    value: OsString,
    kind: Kind,
    place: Place,
}

/// What the place makes of a value. Only the file tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A flag's or a variable's: whatever it reads as.
    Plain,
    Text,
    Number,
    /// Of texts.
    List,
    /// No setting is one.
    Other,
}

#[derive(Debug)]
enum Place {
    Flag,
    Environment,
    File {
        path: PathBuf,
        line: usize,
        /// The value, as it stands there.
        written: String,
    },
}

/// The kinds that a setting takes.
type Kinds = &'static [Kind];
const TEXT: Kinds = &[Kind::Plain, Kind::Text];
const NUMBER: Kinds = &[Kind::Plain, Kind::Text, Kind::Number];
const LIST: Kinds = &[Kind::Plain, Kind::Text, Kind::List];

impl Given {
    /// What the command line and the environment say.
    pub fn from_matches(matches: &ArgMatches) -> Self {
        let given = file::Keys::known().all().filter_map(|key| {
            let place = match matches.value_source(&key)? {
                ValueSource::EnvVariable => Place::Environment,
                _ => Place::Flag,
            };
            let values: Vec<OsString> = matches.get_raw(&key)?.map(ToOwned::to_owned).collect();
            Some((key, Setting { value: values.join(",".as_ref()), kind: Kind::Plain, place }))
        });
        Self(given.collect())
    }

    /// Refuses a variable of the environment that sets nothing, though it is called as if it did. Those that Kubernetes sets
    /// for a service called `dhtd` are none of ours.
    pub fn check_names(names: impl IntoIterator<Item = String>) -> Result<(), Fatal> {
        let known: Vec<String> = file::Keys::known().all().map(|key| format!("DHTD_{}", key.to_uppercase())).collect();
        let is_setting = |name: &String| name == "DHTD_CONFIG" || known.contains(name);
        let is_foreign = |name: &String| name.starts_with("DHTD_PORT") || name.starts_with("DHTD_SERVICE_");
        let mut misnamed =
            names.into_iter().filter(|name| name.starts_with("DHTD_") && !is_setting(name) && !is_foreign(name));
        match misnamed.next() {
            Some(name) => Err(Fatal::config(format!("{name}: no setting is called so; see `dhtd --help`"))),
            None => Ok(()),
        }
    }

    /// What a TOML file says. Errors name the file and the line.
    pub fn from_file(path: &Path) -> Result<Self, Fatal> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Fatal::config(format!("cannot read the configuration {}: {error}", path.display())))?;
        Self::from_toml(path, &text)
    }

    pub(crate) fn from_toml(path: &Path, text: &str) -> Result<Self, Fatal> {
        file::read(path, text).map(Self)
    }

    /// What is set here, else what is set in `below`.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        for (key, setting) in below.0 {
            self.0.entry(key).or_insert(setting);
        }
        self
    }

    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// One of these settings is wrong, or they are together: the first that was given gets the blame.
    pub(crate) fn wrong(&self, keys: &[&str], why: impl Display) -> Fatal {
        let given = keys.iter().find_map(|key| self.0.get_key_value(*key));
        Fatal::config(match given {
            Some((key, setting)) => format!("{}: {why}", Shown(key, setting)),
            None => format!("{}: {why}", keys.first().unwrap_or(&"configuration")),
        })
    }

    /// The setting `key` made of its text; none if it was not given.
    fn read<T>(
        &self,
        key: &str,
        kinds: Kinds,
        expected: impl Display,
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fatal> {
        let Some(setting) = self.0.get(key) else { return Ok(None) };
        let made = match kinds.contains(&setting.kind) {
            true => setting.value.to_str().and_then(make),
            false => None,
        };
        let unquoted = kinds == TEXT && setting.kind == Kind::Number;
        let quotes = if unquoted { ", in quotes" } else { "" };
        made.map(Some).ok_or_else(|| self.wrong(&[key], format_args!("expected {expected}{quotes}")))
    }

    /// A setting that is text, made of it by `make`.
    pub(crate) fn text<T>(
        &self,
        key: &str,
        expected: impl Display,
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fatal> {
        self.read(key, TEXT, expected, make)
    }

    /// A setting that is a number, or a word that stands for one.
    pub(crate) fn word_or_number<T>(
        &self,
        key: &str,
        expected: impl Display,
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fatal> {
        self.read(key, NUMBER, expected, make)
    }

    /// A list, or one text with commas.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<String>, Fatal> {
        let parts = |text: &str| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Some(parts.map(ToOwned::to_owned).collect())
        };
        Ok(self.read(key, LIST, "a text, or a list of texts", parts)?.unwrap_or_default())
    }

    pub(crate) fn path(&self, key: &str) -> Result<Option<PathBuf>, Fatal> {
        match self.0.get(key) {
            // A path need not be text.
            Some(Setting { value, kind: Kind::Plain, .. }) => Ok(Some(PathBuf::from(value))),
            _ => self.text(key, "a path", |text| Some(PathBuf::from(text))),
        }
    }

    /// A number of these bounds.
    pub(crate) fn number<T: FromStr + PartialOrd + Display + Copy>(
        &self,
        key: &str,
        default: T,
        (min, max): (T, T),
    ) -> Result<T, Fatal> {
        let within = |number: &T| (min..=max).contains(number);
        let expected = format_args!("a number from {min} to {max}").to_string();
        let read = self.read(key, NUMBER, expected, |text| text.parse().ok().filter(within))?;
        Ok(read.unwrap_or(default))
    }

    /// A duration of these bounds.
    pub(crate) fn duration(
        &self,
        key: &str,
        default: Duration,
        (min, max): (Duration, Duration),
    ) -> Result<Duration, Fatal> {
        let within = |duration: &Duration| (min..=max).contains(duration);
        let expected = format!("a duration from {} to {}, such as {}", Span(min), Span(max), Span(default));
        let read = self.text(key, expected, |text| humantime::parse_duration(text).ok().filter(within))?;
        Ok(read.unwrap_or(default))
    }

    /// One of these words.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: [(&str, T); 2]) -> Result<Option<T>, Fatal> {
        let [(one, _), (other, _)] = words;
        let meant = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        self.text(key, format_args!("{one} or {other}"), meant)
    }
}

/// A setting as it was written, at its place.
struct Shown<'a>(&'a str, &'a Setting);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key, Setting { value, place, .. }) = self;
        let value = value.to_string_lossy();
        match place {
            Place::Flag => write!(f, "--{} {value}", key.replace('_', "-")),
            Place::Environment => write!(f, "DHTD_{}={value}", key.to_uppercase()),
            Place::File { path, line, written } => write!(f, "{}:{line}: {key} = {written}", path.display()),
        }
    }
}

/// A duration in the largest unit that it is a whole number of, as one would write it.
pub(crate) struct Span(pub(crate) Duration);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [("day", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
        match units.iter().find(|(_, length)| ms > 0 && ms.is_multiple_of(*length)) {
            Some(("day", length)) if ms > *length => write!(f, "{}days", ms / length),
            Some((unit, length)) => write!(f, "{}{unit}", ms / length),
            None if ms == 0 => write!(f, "0s"),
            None => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests;
