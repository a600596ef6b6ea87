//! What the server refuses, with SQL Server's own numbers.

use std::fmt;

/// An error message as the ERROR token carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub number: i32,
    pub class: u8,
    pub state: u8,
    pub message: String,
}

/// The mark of an error that crosses SQLite as text.
const MARK: &str = "\u{1}tds:";

impl SqlError {
    pub fn new(number: i32, class: u8, state: u8, message: impl Into<String>) -> Self {
        Self { number, class, state, message: message.into() }
    }

    /// Error 102: what the parser of SQL Server does not know.
    pub fn syntax(near: impl fmt::Display) -> Self {
        Self::new(102, 15, 1, format!("Incorrect syntax near '{near}'."))
    }

    /// Error 195: a function that is not on the white list.
    pub fn unknown_function(name: &str) -> Self {
        Self::new(195, 15, 10, format!("'{name}' is not a recognized built-in function name."))
    }

    /// Error 8115 for a target type.
    pub fn overflow(target: impl fmt::Display) -> Self {
        Self::new(8115, 16, 2, format!("Arithmetic overflow error converting expression to data type {target}."))
    }

    /// Error 8134.
    pub fn division_by_zero() -> Self {
        Self::new(8134, 16, 1, "Divide by zero error encountered.")
    }

    /// As text that SQLite hands through from a function of ours.
    pub fn into_sqlite(self) -> rusqlite::Error {
        rusqlite::Error::UserFunctionError(
            format!("{MARK}{}:{}:{}:{}", self.number, self.class, self.state, self.message).into(),
        )
    }

    /// The error behind what SQLite reports: ours again, or SQLite's own as error 50000.
    pub fn from_sqlite(error: &rusqlite::Error) -> Self {
        let text = error.to_string();
        if let Some((_, rest)) = text.split_once(MARK) {
            let mut parts = rest.splitn(4, ':');
            let number = parts.next().and_then(|part| part.parse().ok());
            let class = parts.next().and_then(|part| part.parse().ok());
            let state = parts.next().and_then(|part| part.parse().ok());
            if let (Some(number), Some(class), Some(state), Some(message)) = (number, class, state, parts.next()) {
                return Self::new(number, class, state, message);
            }
        }
        if let rusqlite::Error::SqliteFailure(code, _) = error {
            let is = |wanted| code.code == wanted;
            if is(rusqlite::ErrorCode::ConstraintViolation) {
                return match code.extended_code {
                    1299 => {
                        Self::new(515, 16, 2, "Cannot insert the value NULL into a column that does not allow nulls.")
                    }
                    1555 | 2067 => {
                        Self::new(2627, 14, 1, "Violation of a key constraint. Cannot insert duplicate key.")
                    }
                    _ => Self::new(547, 16, 0, "The statement conflicted with a constraint."),
                };
            }
            if is(rusqlite::ErrorCode::DatabaseBusy) || is(rusqlite::ErrorCode::DatabaseLocked) {
                return Self::new(1222, 16, 51, "Lock request time out period exceeded.");
            }
        }
        Self::new(50000, 16, 1, format!("the test server's SQLite: {text}"))
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Msg {}, Level {}, State {}: {}", self.number, self.class, self.state, self.message)
    }
}

impl std::error::Error for SqlError {}
