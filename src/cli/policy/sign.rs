//! `wayleave policy sign` and `wayleave policy verify`: who stands for the policy files as they are.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output::write_text;
use super::super::{Failure, load_config, print};
use super::{FilesArgs, load_policies};
use crate::config::PublicKey;
use crate::policy::files::{PolicySet, SIGNATURES, SigningKey, read_signatures, write_signatures};

/// Sign the policy files as they are
///
/// Writes `signatures.toml` beside them. Where the configuration says `[policies] signed_by`, files that none of those keys has
/// signed are not put in force. The files are checked first: what is broken is not signed.
#[derive(Args, Debug)]
#[command(after_help = SIGN_EXAMPLES)]
pub struct SignArgs {
    /// A file that holds the private key: 64 hexadecimal digits
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// Make a private key in this new file, print its public key, and sign nothing
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    new_key: Option<PathBuf>,
    #[command(flatten)]
    files: FilesArgs,
}

const SIGN_EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy sign --new-key ~/dpo.key      # prints the public key for signed_by
  wayleave policy sign --key ~/dpo.key
  wayleave policy sign --key ~/dpo.key --policies policies

IN wayleave.toml:
  [policies]
  directory = \"policies\"
  signed_by = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]";

/// Check who has signed the policy files as they are
///
/// Fails where none of the keys has that are named by --key, or by `signed_by` of the configuration.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// A public key that counts, in place of those of the configuration: 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    files: FilesArgs,
}

const VERIFY_EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy verify
  wayleave policy verify --policies policies --key d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

pub fn sign(config: &Path, args: &SignArgs) -> Result<(), Failure> {
    if let Some(file) = &args.new_key {
        return make_key(file);
    }
    let Some(file) = &args.key else { return Err(Failure::usage("there is no key", "name one with `--key FILE`")) };
    let key = read_key(file)?;
    let directory = args.files.directory(config)?;
    let set = load_policies(&directory)?;
    let signature =
        key.sign(&set.hash).ok_or_else(|| Failure::output("the files cannot be signed", &"the key failed"))?;
    let signer = signature.key;
    // Who has signed an earlier state has not signed this one.
    let mut signatures = read_signatures(&directory).map_err(|found| Failure::Wayleave(found.into()))?;
    signatures.retain(|other| other.key != signer && other.fits(&set.hash));
    signatures.push(signature);
    let path = directory.join(SIGNATURES);
    write_text(Some(&path), &write_signatures(&signatures))?;
    print(&format!("{} holds a signature of {} by {signer}\n", path.display(), set.hash))
}

pub fn verify(config: &Path, args: &VerifyArgs) -> Result<(), Failure> {
    let (directory, signed_by) = match (&args.files.policies, args.key.is_empty()) {
        (Some(directory), false) => (directory.clone(), keys_of(&args.key)?),
        (Some(_), true) => {
            return Err(Failure::usage("nothing says whose signature counts", "name a public key with `--key`"));
        }
        (None, given_none) => {
            let config = load_config(config)?;
            let keys = if given_none { config.signed_by } else { keys_of(&args.key)? };
            (config.policies, keys)
        }
    };
    if signed_by.is_empty() {
        let hint = "write `signed_by` below `[policies]` in the configuration, or name a public key with `--key`";
        return Err(Failure::usage("nothing says whose signature counts", hint));
    }
    let set = PolicySet::load_signed(&directory, &signed_by).map_err(|found| Failure::Wayleave(found.into()))?;
    let signatures = read_signatures(&directory).map_err(|found| Failure::Wayleave(found.into()))?;
    let counting =
        signatures.iter().filter(|signature| signed_by.contains(&signature.key) && signature.fits(&set.hash));
    for signature in counting {
        print(&format!("ok      {} is signed by {}\n", set.hash, signature.key))?;
    }
    Ok(())
}

fn keys_of(texts: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let read = |text: &String| {
        PublicKey::parse(text).ok_or_else(|| {
            Failure::usage(format!("`{text}` is no public key"), "a public key has 64 hexadecimal digits")
        })
    };
    texts.iter().map(read).collect()
}

fn read_key(file: &Path) -> Result<SigningKey, Failure> {
    let unreadable = |why: String| Failure::output(&format!("the key `{}` cannot be read", file.display()), &why);
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.kind().to_string()))?;
    SigningKey::parse(&text).ok_or_else(|| unreadable("it is not 64 hexadecimal digits".to_owned()))
}

fn make_key(file: &Path) -> Result<(), Failure> {
    let unwritable =
        |why: &dyn std::fmt::Display| Failure::output(&format!("the key `{}` cannot be written", file.display()), &why);
    let text = SigningKey::generate().ok_or_else(|| unwritable(&"the machine gives no random bytes"))?;
    let public = SigningKey::parse(&text).and_then(|key| key.public_key());
    let mut options = OpenOptions::new();
    // Never over another key, and for its owner's eyes.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(file).map_err(|error| unwritable(&error))?;
    writeln!(written, "{text}").and_then(|()| written.sync_all()).map_err(|error| unwritable(&error))?;
    let public = public.ok_or_else(|| unwritable(&"the key has no public key"))?;
    print(&format!("{public}\n"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(directory: &Path) -> FilesArgs {
        FilesArgs { policies: Some(directory.to_owned()) }
    }

    #[test]
    fn what_is_signed_can_be_verified_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let policies = directory.path().join("policies");
        fs::create_dir_all(policies.join("agreements")).unwrap();
        for (name, text) in PolicySet::read_files(Path::new("policies")).unwrap() {
            fs::write(policies.join(name), text).unwrap();
        }
        let none = Path::new("none.toml");
        let new_key = |name: &str| {
            let file = directory.path().join(name);
            let args = SignArgs { key: None, new_key: Some(file.clone()), files: files(&policies) };
            sign(none, &args).unwrap();
            assert!(sign(none, &args).is_err(), "a key is never written over");
            file
        };
        let (first, second) = (new_key("first.key"), new_key("second.key"));
        let public = |file: &Path| read_key(file).unwrap().public_key().unwrap();
        let verify =
            |file: &Path| verify(none, &VerifyArgs { key: vec![public(file).to_string()], files: files(&policies) });
        let sign =
            |file: &Path| sign(none, &SignArgs { key: Some(file.to_owned()), new_key: None, files: files(&policies) });
        assert!(matches!(verify(&first), Err(Failure::Wayleave(_))));
        sign(&first).unwrap();
        verify(&first).unwrap();
        assert!(verify(&second).is_err());
        sign(&second).unwrap();
        verify(&first).unwrap();
        verify(&second).unwrap();
        let purposes = policies.join("purposes.toml");
        fs::write(&purposes, fs::read_to_string(&purposes).unwrap() + "# more\n").unwrap();
        assert!(verify(&first).is_err() && verify(&second).is_err());
        // The signature of what was there before goes.
        sign(&second).unwrap();
        assert_eq!(read_signatures(&policies).unwrap().len(), 1);
        verify(&second).unwrap();
        fs::write(&purposes, "[purpose").unwrap();
        assert!(matches!(sign(&second), Err(Failure::Wayleave(_))), "what is broken is not signed");
    }
}
