//! The TOML file: keys with the lines that they are on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use clap::Args;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Kind, Place, Setting};
use crate::exit::Fatal;
use crate::options::{ChordOptions, KelipsOptions, Options, PastryOptions};

/// No more of a value is repeated in a message.
const WRITTEN_MAX: usize = 60;

/// The keys that there are: those outside of any table, and those of each table.
pub(super) struct Keys {
    top: Vec<String>,
    tables: [(&'static str, Vec<String>); 3],
}

impl Keys {
    pub(super) fn known() -> Self {
        let tables =
            [("chord", of::<ChordOptions>()), ("pastry", of::<PastryOptions>()), ("kelips", of::<KelipsOptions>())];
        let mut top = of::<Options>();
        top.retain(|key| tables.iter().all(|(_, keys)| !keys.contains(key)));
        Self { top, tables }
    }

    pub(super) fn all(self) -> impl Iterator<Item = String> {
        self.top.into_iter().chain(self.tables.into_iter().flat_map(|(_, keys)| keys))
    }

    /// Why `key` is none of those of `table`, outside of any for none.
    fn refuse(&self, table: Option<&str>, key: &str) -> String {
        let right = key.replace('-', "_");
        let home = self.tables.iter().find(|(_, keys)| keys.contains(&right)).map(|(name, _)| *name);
        let is_key = home.is_some() || self.top.contains(&right);
        let here = match table {
            Some(table) => format!("the keys of [{table}] are {}", self.of_table(table).join(", ")),
            None => "the keys are the flags that `dhtd --help` shows, with `_` for `-`".to_owned(),
        };
        match home {
            _ if !is_key => format!("unknown key `{key}`; {here}"),
            home if home == table => format!("unknown key `{key}`; it is written `{right}`"),
            Some(home) => format!("`{key}` does not belong here: write `{right}` under [{home}]"),
            None => format!("`{key}` does not belong here: write `{right}` above all tables"),
        }
    }

    fn of_table(&self, name: &str) -> &[String] {
        self.tables.iter().find(|(table, _)| *table == name).map_or(&[], |(_, keys)| keys)
    }
}

fn of<A: Args>() -> Vec<String> {
    let command = A::augment_args(clap::Command::new("dhtd"));
    command.get_arguments().map(|arg| arg.get_id().to_string()).collect()
}

/// A file and its text.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

/// Every setting in the file.
pub(super) fn read(path: &Path, text: &str) -> Result<BTreeMap<String, Setting>, Fatal> {
    let file = File { path, text };
    let parsed = DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        file.error(error.span().unwrap_or_default(), &message)
    })?;
    let known = Keys::known();
    let mut settings = BTreeMap::new();
    for (key, value) in parsed.get_ref() {
        let name = key.get_ref().as_ref();
        let keys = known.of_table(name);
        match value.get_ref() {
            DeValue::Table(table) if !keys.is_empty() => {
                for (key, value) in table {
                    file.take(&known, Some(name), key, value, &mut settings)?;
                }
            }
            DeValue::Table(_) if !known.top.iter().any(|key| key == name) => {
                return Err(file.error(key.span(), "unknown table; there are [chord], [pastry] and [kelips]"));
            }
            _ if !keys.is_empty() => {
                let why = format!("`{name}` is a table here: write [{name}] and its settings below");
                return Err(file.error(key.span(), &why));
            }
            _ => file.take(&known, None, key, value, &mut settings)?,
        }
    }
    Ok(settings)
}

impl File<'_> {
    fn take(
        &self,
        known: &Keys,
        table: Option<&str>,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        settings: &mut BTreeMap<String, Setting>,
    ) -> Result<(), Fatal> {
        let name = key.get_ref().as_ref();
        let keys = table.map_or(known.top.as_slice(), |table| known.of_table(table));
        if !keys.iter().any(|known| known == name) {
            return Err(self.error(key.span(), &known.refuse(table, name)));
        }
        let (kind, text) = plain(value.get_ref());
        let place = Place::File {
            path: self.path.to_owned(),
            line: self.line(key.span()),
            written: self.written(value.span()),
        };
        settings.insert(name.to_owned(), Setting { value: text.into(), kind, place });
        Ok(())
    }

    fn error(&self, span: Range<usize>, why: &str) -> Fatal {
        Fatal::config(format!("{}:{}: {why}", self.path.display(), self.line(span)))
    }

    fn line(&self, span: Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }

    fn written(&self, span: Range<usize>) -> String {
        let written = self.text.get(span).unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        match line.char_indices().nth(WRITTEN_MAX) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None if line.len() < written.len() => format!("{line}…"),
            None => line.to_owned(),
        }
    }
}

/// A value as text.
fn plain(value: &DeValue<'_>) -> (Kind, String) {
    match value {
        DeValue::String(text) => (Kind::Text, text.to_string()),
        DeValue::Integer(number) => match u128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => (Kind::Number, number.to_string()),
            Err(_) => (Kind::Number, number.to_string()),
        },
        DeValue::Array(parts) => {
            let texts = parts.iter().map(|part| part.get_ref().as_str());
            match texts.collect::<Option<Vec<_>>>() {
                Some(texts) => (Kind::List, texts.join(",")),
                None => (Kind::Other, String::new()),
            }
        }
        _ => (Kind::Other, String::new()),
    }
}
