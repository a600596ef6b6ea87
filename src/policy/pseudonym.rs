//! Keyed one-way pseudonyms, computed here and never at a source, so that their key stays in this process.
//!
//! Source: HMAC-SHA-256 (RFC 2104, FIPS 198-1). The message is prefixed by the agreement's id and purpose, so that the same
//! person has another pseudonym under another agreement: they cannot be joined across.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::PseudonymKey;
use crate::hexadecimal::to_hexadecimal;

/// The function that turns one agreement's subject keys into pseudonyms: 32 hexadecimal digits, NULL for NULL.
#[derive(Clone, Debug)]
pub struct Pseudonym {
    key: PseudonymKey,
    scope: String,
    signature: Signature,
}

impl Pseudonym {
    pub fn new(key: PseudonymKey, agreement: &str, purpose: &str, version: u32) -> Self {
        // Lengths come first so that no two scopes can run together.
        let mut scope = format!("{}:{agreement}{}:{purpose}", agreement.len(), purpose.len());
        if version != 1 {
            scope.extend(["version ", &version.to_string()]);
        }
        Self { key, scope, signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }

    /// # Errors
    /// Never in practice: HMAC takes keys of any length.
    fn of(&self, value: &str) -> Result<String, DataFusionError> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.expose()) else {
            return exec_err!("the pseudonym key cannot be used");
        };
        mac.update(self.scope.as_bytes());
        mac.update(value.as_bytes());
        let digest = mac.finalize().into_bytes();
        Ok(to_hexadecimal(digest.get(..16).unwrap_or_default()))
    }
}

// Identity is the scope: the key is the process's only one, and must not be compared or hashed into plans.
impl PartialEq for Pseudonym {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope
    }
}

impl Eq for Pseudonym {}

impl std::hash::Hash for Pseudonym {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.scope.hash(state);
    }
}

impl ScalarUDFImpl for Pseudonym {
    fn name(&self) -> &'static str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let rows = arguments.number_rows;
        let Some(argument) = arguments.args.into_iter().next() else {
            return exec_err!("pseudonym takes one argument");
        };
        let values = argument.into_array(rows)?;
        let Some(values) = values.as_string_opt::<i32>() else {
            return exec_err!("pseudonym takes text");
        };
        let mut pseudonyms = StringBuilder::with_capacity(values.len(), values.len() * 32);
        for value in values {
            match value {
                Some(value) => pseudonyms.append_value(self.of(value)?),
                None => pseudonyms.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(pseudonyms.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(agreement: &str, purpose: &str) -> String {
        pseudonym_of_version(agreement, purpose, 1)
    }

    fn pseudonym_of_version(agreement: &str, purpose: &str, version: u32) -> String {
        Pseudonym::new(PseudonymKey::parse(&[7; 32]).unwrap(), agreement, purpose, version).of("9434765919").unwrap()
    }

    #[test]
    fn a_person_has_one_pseudonym_in_an_agreement_and_another_elsewhere() {
        assert_eq!(pseudonym("A", "planning"), pseudonym("A", "planning"));
        assert_ne!(pseudonym("A", "planning"), pseudonym("B", "planning"));
        assert_ne!(pseudonym("A", "planning"), pseudonym("A", "research"));
        assert_ne!(pseudonym("A1", "x"), pseudonym("A", "1x"));
        assert_ne!(pseudonym("A", "planning"), pseudonym_of_version("A", "planning", 2));
        assert_ne!(pseudonym_of_version("A", "planning", 3), pseudonym_of_version("A", "planning", 2));
        assert_eq!(pseudonym("A", "planning").len(), 32);
    }

    #[test]
    fn the_key_is_never_shown() {
        let shown = format!(
            "{:?}",
            Pseudonym::new(PseudonymKey::parse(b"secret-secret-secret-secret-1234").unwrap(), "A", "p", 1)
        );
        assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    }
}
