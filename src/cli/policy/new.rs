//! `wayleave policy new`: asks, and writes a valid agreement.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use super::super::{Failure, print};
use super::FilesArgs;
use crate::names::QualifiedTable;
use crate::policy::files::{ConsentMode, Decision, PolicySet};
use crate::stewardship::{AgreementDraft, DraftConsent, Force};

/// Write a new agreement, asking for what the flags leave out
///
/// Reads the policy files and writes one new file, which is valid beside them; nothing that is there is overwritten. It
/// is a draft unless --in-force is given: a draft releases nothing. No agency is asked.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Who answers for it
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[arg(long, value_name = "YYYY-MM-DD")]
    starts: Option<String>,
    #[arg(long, value_name = "YYYY-MM-DD")]
    ends: Option<String>,
    /// The last day on which it counts without a review; its end where it is left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    review_by: Option<String>,
    /// A code of purposes.toml
    #[arg(long, value_name = "CODE")]
    purpose: Option<String>,
    /// The point of article 6(1), a to f
    #[arg(long, value_name = "POINT")]
    article_6: Option<String>,
    /// The point of article 9(2), a to j, for special categories
    #[arg(long, value_name = "POINT")]
    article_9: Option<String>,
    /// The statute that allows it
    #[arg(long, value_name = "TEXT")]
    gateway: Option<String>,
    /// The data protection impact assessment
    #[arg(long, value_name = "REFERENCE")]
    dpia: Option<String>,
    /// An organisation and its roles; may be given several times
    #[arg(long = "recipient", value_name = "ORGANISATION/ROLE[,ROLE…]")]
    recipients: Vec<String>,
    #[arg(long, value_enum)]
    consent: Option<ConsentName>,
    /// A register of registers.toml; may be given several times
    #[arg(long = "register", value_name = "NAME")]
    registers: Vec<String>,
    /// What happens to who has said nothing; with opt-in always deny
    #[arg(long, value_enum)]
    no_information: Option<SilenceName>,
    /// A table and the columns that it releases; may be given several times
    #[arg(long = "share", value_name = "TABLE:COLUMN[,COLUMN…]")]
    shares: Vec<String>,
    /// Release at once, as no draft
    #[arg(long)]
    in_force: bool,
    #[command(flatten)]
    files: FilesArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConsentName {
    OptIn,
    OptOut,
    /// A statutory basis: each question then needs a case reference and a reason
    NotRequired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SilenceName {
    Permit,
    Deny,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy new                        # asks for everything
  wayleave policy new --id ISA-2027-003 --title 'Falls prevention' --owner dpo@torbay.example \\
      --starts 2027-01-01 --ends 2027-12-31 --purpose joint-needs-assessment --article-6 e --article-9 h \\
      --recipient torbay-asc/social-worker --consent opt-out --register shared-care --no-information permit \\
      --share 'health.main.patients: nhs_number, name'

Masks, row filters, key disclosures and output rules are added in the file; `wayleave policy check` looks at it.";

/// Where answers come from.
trait Questions {
    /// `None` where nobody can be asked.
    fn ask(&mut self, question: &str) -> io::Result<Option<String>>;
    fn tell(&mut self, what: &str);
}

/// Someone at a terminal, or nobody.
struct Terminal;

impl Questions for Terminal {
    fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let mut stderr = io::stderr();
        write!(stderr, "{question}: ")?;
        stderr.flush()?;
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }

    fn tell(&mut self, what: &str) {
        let _ = writeln!(io::stderr(), "  {what}");
    }
}

pub fn run(config: &Path, args: &NewArgs) -> Result<(), Failure> {
    let directory = args.files.directory(config)?;
    let files = PolicySet::read_files(&directory).map_err(|diagnostics| Failure::Wayleave(diagnostics.into()))?;
    let draft = completed(args, &mut Terminal)?;
    let text = draft.checked(&directory, &files).map_err(|diagnostics| Failure::Wayleave(diagnostics.into()))?;
    let path = write_new(&directory, &draft, &text)?;
    print(&format!("{}\n", path.display()))
}

/// Writes the file where there is none of its name.
fn write_new(directory: &Path, draft: &AgreementDraft, text: &str) -> Result<PathBuf, Failure> {
    let path = directory.join(draft.file_name());
    let unwritable = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("`{}` is there already, and stays as it is", path.display()), "give another --id")
        }
        _ => Failure::output(&format!("`{}` cannot be written", path.display()), &error),
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(unwritable)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(unwritable)?;
    if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
        // Half an agreement would break every query.
        let _ = std::fs::remove_file(&path);
        return Err(unwritable(error));
    }
    Ok(path)
}

fn completed(args: &NewArgs, questions: &mut dyn Questions) -> Result<AgreementDraft, Failure> {
    let id = value(args.id.as_deref(), "--id", "id, such as ISA-2027-003", &identifier, questions)?;
    let title = value(args.title.as_deref(), "--title", "title", &text, questions)?;
    let owner = value(args.owner.as_deref(), "--owner", "owner, who answers for it", &text, questions)?;
    let starts = value(args.starts.as_deref(), "--starts", "first day (YYYY-MM-DD)", &day, questions)?;
    let ends = value(args.ends.as_deref(), "--ends", "last day (YYYY-MM-DD)", &day, questions)?;
    let review_by = match &args.review_by {
        Some(given) => value(Some(given), "--review-by", "", &day, questions)?,
        None => ends,
    };
    let purpose = value(args.purpose.as_deref(), "--purpose", "purpose, a code of purposes.toml", &text, questions)?;
    let article_6 = value(args.article_6.as_deref(), "--article-6", "point of article 6(1), a to f", &text, questions)?;
    let recipients =
        values(&args.recipients, "--recipient", "organisation/role,role (an empty line ends)", &recipient, questions)?;
    let consent = consent(args, questions)?;
    let shares =
        values(&args.shares, "--share", "agency.schema.table: column, column (an empty line ends)", &share, questions)?;
    Ok(AgreementDraft {
        id,
        title,
        owner,
        starts,
        ends,
        review_by,
        force: if args.in_force { Force::InForce } else { Force::Draft },
        purpose,
        article_6,
        article_9: args.article_9.clone(),
        gateway: args.gateway.clone(),
        dpia: args.dpia.clone(),
        recipients,
        consent,
        shares,
    })
}

fn consent(args: &NewArgs, questions: &mut dyn Questions) -> Result<DraftConsent, Failure> {
    let named =
        |text: &str| ConsentName::from_str(text, true).map_err(|_| "write opt-in, opt-out or not-required".to_owned());
    let mode = match args.consent {
        Some(mode) => mode,
        None => value(None, "--consent", "consent: opt-in, opt-out or not-required", &named, questions)?,
    };
    let mode = match mode {
        ConsentName::NotRequired => return Ok(DraftConsent::NotRequired),
        ConsentName::OptIn => ConsentMode::OptIn,
        ConsentName::OptOut => ConsentMode::OptOut,
    };
    let registers =
        values(&args.registers, "--register", "register of registers.toml (an empty line ends)", &text, questions)?;
    let silence = |text: &str| SilenceName::from_str(text, true).map_err(|_| "write permit or deny".to_owned());
    let no_information = match (mode, args.no_information) {
        (ConsentMode::OptIn, _) => SilenceName::Deny,
        (ConsentMode::OptOut, Some(given)) => given,
        (ConsentMode::OptOut, None) => {
            value(None, "--no-information", "who has said nothing: permit or deny", &silence, questions)?
        }
    };
    let no_information = match no_information {
        SilenceName::Permit => Decision::Permit,
        SilenceName::Deny => Decision::Deny,
    };
    Ok(DraftConsent::Required { mode, registers, no_information })
}

type Reader<'r, T> = &'r dyn Fn(&str) -> Result<T, String>;

/// One value: what was given, or what is answered, asked again until it can be read.
fn value<T>(
    given: Option<&str>,
    flag: &str,
    question: &str,
    read: Reader<'_, T>,
    questions: &mut dyn Questions,
) -> Result<T, Failure> {
    if let Some(given) = given {
        return read(given).map_err(|why| Failure::usage(format!("{flag} `{given}` cannot be read"), why));
    }
    loop {
        let Some(answer) = questions.ask(question)? else {
            return Err(missing(flag, question));
        };
        match read(&answer) {
            Ok(value) => return Ok(value),
            Err(why) => questions.tell(&why),
        }
    }
}

/// One value at least.
fn values<T>(
    given: &[String],
    flag: &str,
    question: &str,
    read: Reader<'_, T>,
    questions: &mut dyn Questions,
) -> Result<Vec<T>, Failure> {
    if !given.is_empty() {
        return given.iter().map(|given| value(Some(given), flag, question, read, questions)).collect();
    }
    let mut values = Vec::new();
    loop {
        let Some(answer) = questions.ask(question)? else {
            return Err(missing(flag, question));
        };
        if answer.is_empty() && !values.is_empty() {
            return Ok(values);
        }
        match read(&answer) {
            Ok(value) => values.push(value),
            Err(why) => questions.tell(&why),
        }
    }
}

fn missing(flag: &str, question: &str) -> Failure {
    Failure::usage(
        format!("{flag} is missing, and there is no terminal to ask at"),
        format!("add {flag}: {question}; `wayleave policy new --help` shows a whole command"),
    )
}

fn text(given: &str) -> Result<String, String> {
    let given = given.trim();
    if given.is_empty() { Err("this must not be empty".to_owned()) } else { Ok(given.to_owned()) }
}

fn identifier(given: &str) -> Result<String, String> {
    let id = text(given)?;
    if id.chars().any(|c| c.is_ascii_alphanumeric()) { Ok(id) } else { Err("an id has letters or digits".to_owned()) }
}

fn day(given: &str) -> Result<NaiveDate, String> {
    given.trim().parse().map_err(|_| "write a day as 2027-01-31".to_owned())
}

fn recipient(given: &str) -> Result<(String, Vec<String>), String> {
    let wrong = || "write organisation/role or organisation/role,role".to_owned();
    let (organisation, roles) = given.split_once('/').ok_or_else(wrong)?;
    let roles: Vec<String> = roles.split(',').map(|role| role.trim().to_owned()).collect();
    let organisation = organisation.trim().to_owned();
    if organisation.is_empty() || roles.iter().any(String::is_empty) { Err(wrong()) } else { Ok((organisation, roles)) }
}

fn share(given: &str) -> Result<(QualifiedTable, Vec<String>), String> {
    let (table, columns) = given.rsplit_once(':').ok_or("write agency.schema.table: column, column")?;
    let table = QualifiedTable::parse(table.trim()).map_err(|error| error.to_string())?;
    let columns: Vec<String> = columns.split(',').map(|column| column.trim().to_owned()).collect();
    if columns.iter().any(String::is_empty) { Err("name each column".to_owned()) } else { Ok((table, columns)) }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: NewArgs,
    }

    /// Answers in order, and what was told between them.
    struct Script(VecDeque<&'static str>, Vec<String>);

    impl Questions for Script {
        fn ask(&mut self, _: &str) -> io::Result<Option<String>> {
            Ok(self.0.pop_front().map(str::to_owned))
        }

        fn tell(&mut self, what: &str) {
            self.1.push(what.to_owned());
        }
    }

    fn args(words: &[&str]) -> NewArgs {
        Line::try_parse_from([&["new"], words].concat()).unwrap().args
    }

    const ANSWERS: [&str; 15] = [
        "ISA-9",
        "Title",
        "o@x",
        "tomorrow",
        "2027-01-01",
        "2027-12-31",
        "safeguarding",
        "e",
        "org/a, b",
        "",
        "opt-out",
        "shared-care",
        "",
        "permit",
        "health.main.patients: nhs_number, name",
    ];

    #[test]
    fn everything_is_asked_and_asked_again_where_it_cannot_be_read() {
        let mut script = Script(ANSWERS.into_iter().chain([""]).collect(), Vec::new());
        let draft = completed(&args(&[]), &mut script).unwrap();
        assert_eq!(script.1, ["write a day as 2027-01-31"]);
        assert_eq!(draft.recipients, [("org".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!((draft.review_by, draft.force), (draft.ends, Force::Draft));
        assert_eq!(draft.shares[0].1, ["nhs_number", "name"]);
    }

    #[test]
    fn without_a_terminal_a_missing_flag_is_named() {
        let error = completed(&args(&["--id", "A"]), &mut Script(VecDeque::new(), Vec::new())).unwrap_err();
        assert!(
            matches!(&error, Failure::Usage { message, .. } if message.starts_with("--title is missing")),
            "{error:?}"
        );
        let error = completed(&args(&["--id", "A", "--title", "T", "--owner", "o", "--starts", "x"]), &mut Terminal);
        assert!(matches!(error, Err(Failure::Usage { .. })));
    }

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut script = Script(ANSWERS.into_iter().chain([""]).collect(), Vec::new());
        let draft = completed(&args(&[]), &mut script).unwrap();
        let path = write_new(directory.path(), &draft, "first").unwrap();
        assert!(matches!(write_new(directory.path(), &draft, "second"), Err(Failure::Usage { .. })));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "first");
    }
}
