//! What can go wrong between us and a source.

/// A failure at a source. The message never holds a row's value, a credential or a hidden column's name: what the server
/// wrote itself is kept apart in `operator_detail`, for those who run the agency's connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    #[error("the source cannot be reached")]
    Unavailable { operator_detail: String },
    #[error("the source refused the login")]
    Authentication { operator_detail: String },
    #[error("no trusted encrypted connection to the source could be made")]
    Tls { operator_detail: String },
    #[error("the source's settings are wrong: {reason}")]
    Configuration { reason: String },
    #[error("the statement ran longer than the {timeout_ms} ms the agency allows")]
    Timeout { timeout_ms: u64 },
    #[error("all {budget} connections the agency allows stayed busy for {waited_ms} ms")]
    Budget { budget: usize, waited_ms: u64 },
    #[error("the statement was cancelled")]
    Cancelled,
    #[error("the connection was lost in the middle of a result")]
    Lost { operator_detail: String },
    #[error("the source refused the statement (SQLSTATE {sqlstate})")]
    Refused { sqlstate: String, operator_detail: String },
    #[error("a value of column {position} of the result cannot be read as {expected}")]
    Decode { position: usize, expected: String },
    #[error("column `{column}` has the type `{source_type}`, which cannot be read: {reason}")]
    Unreadable { column: String, source_type: String, reason: String },
    #[error("the source answered in a way that its protocol does not allow: {reason}")]
    Protocol { reason: String },
}

impl ConnectorError {
    /// The end of a reader that panicked: its result is no short one.
    pub fn broken_off() -> Self {
        Self::Protocol { reason: "the reader of the result broke off".to_owned() }
    }

    /// The stable code of the cause, the same in every surface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "source-unavailable",
            Self::Authentication { .. } => "source-authentication",
            Self::Tls { .. } => "source-tls",
            Self::Configuration { .. } => "source-configuration",
            Self::Timeout { .. } => "source-timeout",
            Self::Budget { .. } => "source-budget",
            Self::Cancelled => "cancelled",
            Self::Lost { .. } => "source-lost",
            Self::Refused { .. } => "source-refused",
            Self::Decode { .. } => "source-decode",
            Self::Unreadable { .. } => "unreadable-column",
            Self::Protocol { .. } => "source-protocol",
        }
    }

    /// What the server or driver said itself. It may name hidden columns: for the operator's eyes, never the asker's.
    pub fn operator_detail(&self) -> Option<&str> {
        match self {
            Self::Unavailable { operator_detail }
            | Self::Authentication { operator_detail }
            | Self::Tls { operator_detail }
            | Self::Lost { operator_detail }
            | Self::Refused { operator_detail, .. } => Some(operator_detail),
            Self::Configuration { .. }
            | Self::Timeout { .. }
            | Self::Budget { .. }
            | Self::Cancelled
            | Self::Decode { .. }
            | Self::Unreadable { .. }
            | Self::Protocol { .. } => None,
        }
    }
}
