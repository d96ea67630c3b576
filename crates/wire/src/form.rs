use ring::Space;

use crate::Malformed;

/// A domain value that has a message: there and back.
pub trait WireForm: Sized {
    /// The generated message.
    type Message;

    /// As a message.
    fn to_message(&self) -> Self::Message;

    /// Reads and checks a message; identifiers have to be of `space`.
    fn from_message(message: Self::Message, space: Space) -> Result<Self, Malformed>;
}

/// A field that has to be there.
pub(crate) fn required<T: WireForm>(name: &str, field: Option<T::Message>, space: Space) -> Result<T, Malformed> {
    let message = field.ok_or_else(|| Malformed::missing(name))?;
    T::from_message(message, space).map_err(|error| error.within(name))
}

/// A field that need not be there.
pub(crate) fn optional<T: WireForm>(
    name: &str,
    field: Option<T::Message>,
    space: Space,
) -> Result<Option<T>, Malformed> {
    field.map(|message| T::from_message(message, space)).transpose().map_err(|error| error.within(name))
}

/// A list of at most `limit`.
pub(crate) fn list<T: WireForm>(
    name: &str,
    field: Vec<T::Message>,
    limit: usize,
    space: Space,
) -> Result<Vec<T>, Malformed> {
    bounded(name, field.len(), limit)?;
    let read =
        |(index, message)| T::from_message(message, space).map_err(|error| error.within(&format!("{name}[{index}]")));
    field.into_iter().enumerate().map(read).collect()
}

/// Refuses a list that is longer than `limit`.
pub(crate) fn bounded(name: &str, length: usize, limit: usize) -> Result<(), Malformed> {
    if length <= limit {
        return Ok(());
    }
    Err(Malformed::new(name, format_args!("has {length} entries, the limit is {limit}")))
}

/// As messages.
pub(crate) fn messages<T: WireForm>(values: &[T]) -> Vec<T::Message> {
    values.iter().map(T::to_message).collect()
}

/// As a message, if there is a value.
pub(crate) fn message<T: WireForm>(value: &Option<T>) -> Option<T::Message> {
    value.as_ref().map(T::to_message)
}
