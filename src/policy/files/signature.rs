//! `signatures.toml`: who stands for the policy files as they are.
//!
//! One signature covers the whole set, as the hash that every audit record names: registers and purposes decide as much as
//! agreements do, and a file that was taken away or put back from an older set would pass with a signature of its own.

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::config::PublicKey;
use crate::diagnostic::document::{Contents, Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Shape};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::hexadecimal::{from_hexadecimal, to_hexadecimal};

/// The file's name in the policy directory.
pub const SIGNATURES: &str = "signatures.toml";

pub(super) const SIGNATURES_FILE: FileKind = FileKind {
    name: "signatures",
    title: "Signatures of policy files",
    description: "Written by `wayleave policy sign`: each holds for the policy files as they were signed, and no others.",
    keys: ROOT_KEYS,
    rules: &[],
};
const ROOT_KEYS: &[Key] = &[Key::new("signature", "[[signature]]\nkey = \"…\"\nvalue = \"…\"")
    .says("The signatures.")
    .of(Shape::Sections { least: 1, keys: SIGNATURE_KEYS, rules: &[] })
    .required()];
const SIGNATURE_KEYS: &[Key] = &[
    Key::new("key", "key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"")
        .says("The Ed25519 public key: 64 hexadecimal digits.")
        .required(),
    Key::new("value", "value = \"e5564300c360ac729086e2cc806e828a…\"")
        .says("The signature: 128 hexadecimal digits.")
        .required(),
];

/// Keeps a signature of policy files from being one of anything else.
const DOMAIN: &str = "wayleave policy set, version 1\n";

/// One signature, as its file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub key: PublicKey,
    value: Vec<u8>,
}

impl Signature {
    /// Whether it is of the set that has this hash.
    pub fn fits(&self, hash: &str) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key.bytes()).verify(&message(hash), &self.value).is_ok()
    }
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public_key().map_or_else(String::new, |key| key.to_string()))
    }
}

impl SigningKey {
    /// Reads 64 hexadecimal digits, as `openssl rand -hex 32` writes them.
    pub fn parse(text: &str) -> Option<Self> {
        let seed = from_hexadecimal(text.trim()).filter(|seed| seed.len() == PublicKey::BYTES)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).ok().map(Self)
    }

    /// A new key, in the form that [`SigningKey::parse`] reads.
    pub fn generate() -> Option<String> {
        let mut seed = [0; PublicKey::BYTES];
        aws_lc_rs::rand::fill(&mut seed).ok()?;
        Some(to_hexadecimal(&seed))
    }

    pub fn public_key(&self) -> Option<PublicKey> {
        PublicKey::of_bytes(self.0.public_key().as_ref())
    }

    pub fn sign(&self, hash: &str) -> Option<Signature> {
        Some(Signature { key: self.public_key()?, value: self.0.sign(&message(hash)).as_ref().to_vec() })
    }
}

fn message(hash: &str) -> Vec<u8> {
    format!("{DOMAIN}{hash}\n").into_bytes()
}

/// Reads the signatures of a policy directory; none where there is no such file.
///
/// # Errors
/// Everything wrong in the file.
pub fn read_signatures(directory: &Path) -> Result<Vec<Signature>, Diagnostics> {
    let read = read_file(&directory.join(SIGNATURES))?.unwrap_or_default();
    Ok(read.into_iter().map(|(signature, _)| signature).collect())
}

/// The signatures of a file, each with its place; `None` where there is no such file.
fn read_file(file: &Path) -> Result<Option<Vec<(Signature, Place)>>, Diagnostics> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostic::of_file(file, format!("it cannot be read: {}", error.kind())).into()),
    }
}

/// The file that holds these signatures.
pub fn write_signatures(signatures: &[Signature]) -> String {
    let mut text =
        "#:schema ./signatures.schema.json\n# Written by `wayleave policy sign`. It holds for the policy files as \
                    they were then, and for no others.\n"
            .to_owned();
    for signature in signatures {
        let value = to_hexadecimal(&signature.value);
        let _ = write!(text, "\n[[signature]]\nkey = \"{}\"\nvalue = \"{value}\"\n", signature.key);
    }
    text
}

/// Checks that one of these keys has signed the set of this hash; with no keys nothing is asked.
pub(super) fn check_signed(directory: &Path, hash: &str, signed_by: &[PublicKey]) -> Result<(), Diagnostics> {
    if signed_by.is_empty() {
        return Ok(());
    }
    let file = directory.join(SIGNATURES);
    let hint =
        "look at what has changed, then run `wayleave policy sign --key FILE` with the key of one of `signed_by`";
    let Some(signatures) = read_file(&file)? else {
        let message = "the configuration wants the policy files signed, and there is no signature";
        return Err(Diagnostic::of_file(&file, message).with_hint(hint).into());
    };
    let known: Vec<&(Signature, Place)> =
        signatures.iter().filter(|(signature, _)| signed_by.contains(&signature.key)).collect();
    if known.iter().any(|(signature, _)| signature.fits(hash)) {
        return Ok(());
    }
    Err(match known.as_slice() {
        [] => Diagnostic::of_file(&file, "none of the signatures is by a key of `signed_by`").with_hint(hint).into(),
        known => Diagnostics(
            known
                .iter()
                .map(|(_, place)| {
                    let message = "the signature does not fit the policy files: they are not those that were signed";
                    Diagnostic::at(place, message).with_hint(hint)
                })
                .collect(),
        ),
    })
}

fn parse(file: &Path, text: &str) -> Result<Vec<(Signature, Place)>, Diagnostics> {
    let document = Document::parse(file, text, Contents::Plain)?;
    let read = document.root(ROOT_KEYS).required("signature").and_then(|entry| {
        let read: Vec<Option<(Signature, Place)>> = entry.tables(SIGNATURE_KEYS)?.iter().map(read_signature).collect();
        read.into_iter().collect()
    });
    Diagnostics::or_value(document.into_found(), read)
}

fn read_signature(table: &Table<'_>) -> Option<(Signature, Place)> {
    let digits = |entry: &Entry<'_>, bytes: usize| {
        let text = entry.text()?.value;
        let read = from_hexadecimal(&text).filter(|read| read.len() == bytes);
        if read.is_none() {
            let hint = "let `wayleave policy sign` write the file";
            entry.report(format!("`{}` is not {} hexadecimal digits", entry.name(), 2 * bytes), hint);
        }
        read
    };
    let key = table.required("key").and_then(|entry| digits(&entry, PublicKey::BYTES));
    let value = table.required("value").and_then(|entry| Some((digits(&entry, 64)?, entry.place())));
    let (value, place) = value?;
    Some((Signature { key: PublicKey::of_bytes(&key?)?, value }, place))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::policy::files::PolicySet;

    /// RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_key_has_the_public_key_of_the_standard() {
        let key = SigningKey::parse(&format!("{SEED}\n")).unwrap();
        assert_eq!(key.public_key(), PublicKey::parse(PUBLIC));
        assert!(SigningKey::parse(&SigningKey::generate().unwrap()).is_some());
        assert!(SigningKey::parse("abc").is_none());
    }

    #[test]
    fn a_signature_holds_for_one_hash_and_one_key() {
        let signature = SigningKey::parse(SEED).unwrap().sign("a1").unwrap();
        assert!(signature.fits("a1") && !signature.fits("a2"));
        let other = SigningKey::parse(&"1".repeat(64)).unwrap().public_key().unwrap();
        assert!(!Signature { key: other, ..signature }.fits("a1"));
    }

    fn policies() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("agreements")).unwrap();
        for (name, text) in PolicySet::read_files(Path::new("policies")).unwrap() {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn faults(directory: &Path, signed_by: &[PublicKey]) -> String {
        PolicySet::load_signed(directory, signed_by).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn unsigned_and_wrongly_signed_files_are_refused_where_a_signature_is_wanted() {
        let directory = policies();
        let path = directory.path();
        let key = SigningKey::parse(SEED).unwrap();
        let signed_by = [key.public_key().unwrap()];
        let set = PolicySet::load_signed(path, &[]).unwrap();
        assert!(faults(path, &signed_by).contains("there is no signature"));
        let signature = key.sign(&set.hash).unwrap();
        fs::write(path.join(SIGNATURES), write_signatures(std::slice::from_ref(&signature))).unwrap();
        assert_eq!(read_signatures(path).unwrap(), [signature]);
        assert_eq!(PolicySet::load_signed(path, &signed_by).unwrap().hash, set.hash);
        // Somebody else's key.
        let other = SigningKey::parse(&"1".repeat(64)).unwrap();
        assert!(faults(path, &[other.public_key().unwrap()]).contains("none of the signatures is by a key"));
        // A register's column counts as much as an agreement.
        let registers = path.join("registers.toml");
        let text = fs::read_to_string(&registers).unwrap();
        fs::write(&registers, format!("{text}\n")).unwrap();
        let said = faults(path, &signed_by);
        assert!(said.contains("signatures.toml:6:9") && said.contains("are not those that were signed"), "{said}");
        fs::write(&registers, text).unwrap();
        assert!(PolicySet::load_signed(path, &signed_by).is_ok());
        // An agreement taken away.
        fs::remove_file(path.join("agreements/safeguarding-hub.toml")).unwrap();
        assert!(faults(path, &signed_by).contains("are not those that were signed"));
        fs::write(path.join(SIGNATURES), "[[signature]]\nkey = \"1\"\nvalue = \"2\"\n").unwrap();
        let said = faults(path, &signed_by);
        assert!(said.contains("`signature.key` is not 64 hexadecimal digits") && said.contains("128"), "{said}");
    }
}
