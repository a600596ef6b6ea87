//! `wayleave user`: who may log in.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};

use super::policy::text::table;
use super::{Failure, load_config, print};
use crate::identity::{User, Users, Verifier};
use crate::session::Identity;
use crate::stewardship::render::Grid;

/// Say who may log in to `wayleave serve`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave user add alice --organisation torbay-asc --role social-worker
  wayleave user add dashboard --organisation torbay-commissioning --role analyst \\
      --purpose commissioning-analytics --generate
  pass show wayleave/bob | wayleave user password bob
  wayleave user list
  wayleave user remove alice             # counts at once, for open connections too

A password is asked for on a terminal, read from standard input, or made; it is kept nowhere.";

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Let somebody log in
    #[command(after_help = EXAMPLES)]
    Add {
        name: String,
        /// The organisation for which the user asks
        #[arg(long, value_name = "ORGANISATION")]
        organisation: String,
        /// The role in which the user asks
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// The purpose of sessions that declare none
        #[arg(long, value_name = "CODE")]
        purpose: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Give somebody another password
    #[command(after_help = EXAMPLES)]
    Password {
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Let somebody log in no more
    #[command(after_help = EXAMPLES)]
    Remove {
        name: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// List those who may log in
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        file: FileArgs,
    },
}

#[derive(Args, Debug)]
struct PasswordArgs {
    /// Make a password, and print it once
    #[arg(long)]
    generate: bool,
}

#[derive(Args, Debug)]
struct FileArgs {
    /// The file of users; by default the configuration's
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

pub fn run(config: &Path, args: UserArgs) -> Result<(), Failure> {
    match args.command {
        UserCommand::Add { name, organisation, role, purpose, password, file } => {
            let file = file.path(config)?;
            let mut users = match file.exists() {
                true => load(&file)?,
                false => Users::none().ok_or_else(no_random_bytes)?,
            };
            if users.get(&name).is_some() {
                let hint = format!("`wayleave user password {name}` gives another password");
                return Err(Failure::usage(format!("there is a user `{name}` already"), hint));
            }
            let identity = Identity::parse(&format!("{name}@{organisation}/{role}"))?;
            let verifier = password.verifier()?;
            users.put(&name, User { identity, purpose, verifier });
            write(&file, &users)
        }
        UserCommand::Password { name, password, file } => {
            let file = file.path(config)?;
            let mut users = load(&file)?;
            let Some(mut user) = users.remove(&name) else { return Err(unknown(&name)) };
            user.verifier = password.verifier()?;
            users.put(&name, user);
            write(&file, &users)
        }
        UserCommand::Remove { name, file } => {
            let file = file.path(config)?;
            let mut users = load(&file)?;
            users.remove(&name).ok_or_else(|| unknown(&name))?;
            write(&file, &users)
        }
        UserCommand::List { file } => {
            let mut grid = Grid::new(&["user", "organisation", "role", "purpose"]);
            for (name, user) in load(&file.path(config)?)?.iter() {
                let Identity { organisation, role, .. } = user.identity.clone();
                grid.push([name.clone(), organisation, role, user.purpose.clone().unwrap_or_default()]);
            }
            print(&table(&grid))
        }
    }
}

impl FileArgs {
    fn path(self, config: &Path) -> Result<PathBuf, Failure> {
        if let Some(file) = self.users {
            return Ok(file);
        }
        load_config(config)?.serve.map(|serve| serve.users).ok_or_else(|| {
            let hint = "write `[serve]` with `users = \"users.toml\"` there, or name a file with --users";
            Failure::usage("the configuration names no file of users", hint)
        })
    }
}

impl PasswordArgs {
    fn verifier(&self) -> Result<Verifier, Failure> {
        let password = if self.generate {
            let mut bytes = [0; 18];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| no_random_bytes())?;
            let password = URL_SAFE_NO_PAD.encode(bytes);
            print(&format!("{password}\n"))?;
            password
        } else if io::stdin().is_terminal() {
            let password = rpassword::prompt_password("Password: ")?;
            if rpassword::prompt_password("Again: ")? != password {
                return Err(Failure::usage("the two passwords differ", "try again; nothing has changed"));
            }
            password
        } else {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        };
        if password.chars().count() < LEAST_CHARACTERS {
            let message = format!("a password has {LEAST_CHARACTERS} characters at least");
            return Err(Failure::usage(message, "write a longer one, or let --generate make one"));
        }
        Verifier::of_password(&password).ok_or_else(no_random_bytes)
    }
}

/// Of a password that somebody chose (NIST SP 800-63B, section 5.1.1.2, wants eight).
const LEAST_CHARACTERS: usize = 8;

fn load(file: &Path) -> Result<Users, Failure> {
    Users::load(file).map_err(|found| Failure::Wayleave(found.into()))
}

fn unknown(name: &str) -> Failure {
    Failure::usage(format!("there is no user `{name}`"), "`wayleave user list` lists them")
}

fn no_random_bytes() -> Failure {
    Failure::output("no password can be kept", &"the machine gives no random bytes")
}

/// Puts the users in the file's place in one step, for its owner's eyes.
fn write(file: &Path, users: &Users) -> Result<(), Failure> {
    let unwritable = |error: io::Error| Failure::output(&format!("`{}` cannot be written", file.display()), &error);
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made readable for its owner alone.
    let mut pending = tempfile::NamedTempFile::new_in(directory).map_err(unwritable)?;
    pending.write_all(users.text().as_bytes()).map_err(unwritable)?;
    pending.as_file().sync_all().map_err(unwritable)?;
    pending.persist(file).map_err(|error| unwritable(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(file: &Path, words: &[&str]) -> Result<(), Failure> {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: UserArgs,
        }
        let line = ["user"]
            .iter()
            .chain(words)
            .map(ToString::to_string)
            .chain(["--users".to_owned(), file.display().to_string()]);
        run(Path::new("nowhere.toml"), <Line as clap::Parser>::try_parse_from(line).unwrap().args)
    }

    #[test]
    fn users_come_and_go_and_their_file_is_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.toml");
        let add = ["add", "ann", "--organisation", "county", "--role", "nurse", "--purpose", "care", "--generate"];
        user(&file, &add).unwrap();
        let first = Users::load(&file).unwrap().get("ann").unwrap().clone();
        assert_eq!((first.identity.role.as_str(), first.purpose.as_deref()), ("nurse", Some("care")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Nobody is put in another's place by mistake.
        assert!(matches!(user(&file, &add), Err(Failure::Usage { .. })));
        user(&file, &["password", "ann", "--generate"]).unwrap();
        let second = Users::load(&file).unwrap().get("ann").unwrap().clone();
        assert!(second.verifier != first.verifier && second.identity == first.identity);
        user(&file, &["list"]).unwrap();
        user(&file, &["remove", "ann"]).unwrap();
        for words in [&["remove", "ann"][..], &["password", "ann", "--generate"]] {
            assert!(matches!(user(&file, words), Err(Failure::Usage { .. })), "{words:?}");
        }
        assert!(user(&file, &["add", "a/b", "--organisation", "c", "--role", "r", "--generate"]).is_err());
    }
}
