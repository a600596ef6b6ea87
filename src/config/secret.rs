//! Texts and keys that must never be printed or logged.

use std::fmt;

/// A text such as a connection URL; its Debug form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The key of the pseudonyms that replace subject keys.
#[derive(Clone, PartialEq, Eq)]
pub struct PseudonymKey(Vec<u8>);

impl PseudonymKey {
    /// HMAC-SHA-256 keys shorter than its output weaken it (RFC 2104, section 3).
    pub const MINIMUM_BYTES: usize = 32;

    /// Takes the bytes of a key; a line break at the end of a text, which editors add, is no part of it.
    /// `None` where they are too few.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = match std::str::from_utf8(bytes) {
            Ok(text) if !text.trim_end_matches(['\r', '\n']).contains(|c: char| c.is_control()) => {
                text.trim_end_matches(['\r', '\n']).as_bytes()
            }
            _ => bytes,
        };
        (bytes.len() >= Self::MINIMUM_BYTES).then(|| Self(bytes.to_vec()))
    }

    /// The bytes themselves, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        assert_eq!(Secret::new("hunter2").expose(), "hunter2");
        assert_eq!(format!("{:?}", PseudonymKey::parse(&[7; 32]).unwrap()), "PseudonymKey(…)");
    }

    #[test]
    fn a_key_has_at_least_32_bytes() {
        assert_eq!(PseudonymKey::parse(&[b'k'; 32]).unwrap().expose(), [b'k'; 32]);
        assert_eq!(PseudonymKey::parse(&[b'k'; 31]), None);
        let mut text = vec![b'k'; 31];
        text.push(b'\n');
        assert_eq!(PseudonymKey::parse(&text), None);
        // Random bytes that happen to end like a line are kept whole.
        let mut random = vec![1; 31];
        random.push(b'\n');
        assert_eq!(PseudonymKey::parse(&random).unwrap().expose().len(), 32);
    }
}
