//! The reason that an event cannot be forwarded.

/// An event of a Messages stream that no client can use and whose meaning is not certain. The stream is broken from here on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event `{name}` is damaged: {damage}")]
pub struct DamagedEvent {
    /// The name of the event, shortened to 40 characters, or `message` if it has none.
    name: String,
    damage: Damage,
}

/// The fault of a damaged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The data is not JSON, or it is cut.
    #[error("its data is not JSON")]
    NotJson,
    /// The data is JSON of another kind than an object.
    #[error("its data is not a JSON object")]
    NotAnObject,
    /// The data has no member `type` with a string.
    #[error("its data has no `type`")]
    NoType,
    /// The member `type` contradicts the name.
    #[error("its data has another `type`")]
    OtherType,
    /// The event is larger than the part that is buffered, and that part does not identify it.
    #[error("it is too large to be identified")]
    TooLarge,
}

/// The number of characters of a name that an error contains.
const NAME_LENGTH: usize = 40;

impl DamagedEvent {
    pub(crate) fn new(name: &str, damage: Damage) -> Self {
        DamagedEvent { name: name.chars().take(NAME_LENGTH).collect(), damage }
    }

    /// Returns the fault.
    pub fn damage(&self) -> Damage {
        self.damage
    }
}
