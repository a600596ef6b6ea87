//! `wayleave demo`: makes a small deployment and shows what it does, scene by scene.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::Args;
use datafusion::physical_plan::common::collect;

use super::table::{TableWriter, printable};
use super::{Failure, open_engine};
use crate::demo::{AgencySummary, DemoError, Deployment};
use crate::engine::{Answer, Engine};
use crate::error::Error;
use crate::session::{Identity, Session};

/// Columns of text on the page.
const WIDTH: usize = 96;

const SOCIAL_WORKER: &str = "alice@torbay-asc/social-worker";
const ANALYST: &str = "dana@torbay-commissioning/analyst";
const SAFEGUARDING_LEAD: &str = "sam@torbay-mash/safeguarding-lead";

/// Make a demo of five agencies, and show what Wayleave does with them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Where to make it; an earlier demo there is made anew, other files are left alone
    #[arg(long, value_name = "PATH", default_value = "wayleave-demo")]
    directory: PathBuf,
    /// How many persons live in the demo
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    persons: usize,
    /// The same seed gives the same persons
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    seed: u64,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave demo
  wayleave demo --directory /tmp/wayleave --persons 100000 --seed 7";

pub async fn run(args: DemoArgs) -> Result<(), Failure> {
    let deployment = Deployment::write(&args.directory, args.persons, args.seed)?;
    let mut page = Page::new();
    introduce(&deployment, &mut page)?;
    let engine = open_engine(&deployment.configuration()).await?;
    one_client(&engine, &deployment, &mut page).await?;
    withdrawal(&engine, &deployment, &mut page).await?;
    no_agreement(&engine, &mut page).await?;
    figures(&engine, &mut page).await?;
    what_next(&deployment, &mut page)
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error.hint() {
            Some(hint) => Self::usage(error.to_string(), hint),
            None => Self::output("the demo cannot be made", &error),
        }
    }
}

fn introduce(deployment: &Deployment, page: &mut Page) -> Result<(), Failure> {
    page.title("Wayleave: one question across many agencies' databases, nothing copied")?;
    page.text(&format!(
        "Five agencies now stand as SQLite files in {}. {} made-up persons live there; each agency knows some of them and \
         writes them down in its own way: other forms of the same number, dates as text, gaps, typing errors.",
        deployment.directory().display(),
        grouped(u64::try_from(deployment.persons()).unwrap_or(u64::MAX)),
    ))?;
    for AgencySummary { name, tables } in deployment.agencies() {
        let tables: Vec<String> = tables.iter().map(|(table, rows)| format!("{table} {}", grouped(*rows))).collect();
        page.block("", &format!("{name:<10} {}", tables.join(", ")))?;
    }
    page.gap()
}

async fn one_client(engine: &Engine, deployment: &Deployment, page: &mut Page) -> Result<(), Failure> {
    let margaret = deployment.older_client();
    page.heading("1. One client, three agencies, one row")?;
    page.text(&format!(
        "Alice is a social worker. She assesses {} together with the hospital and the landlord; agreement ISA-2026-014 lets \
         her. Health writes the number '999 201 9441', social care '9992019441', housing '999-201-9441'. Alice does not \
         need to know.",
        margaret.full_name()
    ))?;
    page.asks(SOCIAL_WORKER, "joint-needs-assessment")?;
    ask(engine, &assessing()?, &client_sql(deployment), page).await?;
    page.text(
        "The postcode is cut to its first half and the tenant's phone to its last digits, as the agreement says. Each value \
         names the agency that it came from. Every statement above carries the agreement's filter and looks up the number \
         in the agency's own written form, so that the agency's own index serves.",
    )
}

async fn withdrawal(engine: &Engine, deployment: &Deployment, page: &mut Page) -> Result<(), Failure> {
    let margaret = deployment.older_client();
    page.heading("2. She withdraws her consent")?;
    page.text(&format!(
        "{} tells her district nurse that she no longer wants this. The nurse enters it where health keeps such decisions, \
         in health's own table; nobody tells Wayleave:",
        margaret.full_name()
    ))?;
    page.code(&deployment.withdraw_consent(margaret)?)?;
    page.text("Alice asks again:")?;
    page.asks(SOCIAL_WORKER, "joint-needs-assessment")?;
    ask(engine, &assessing()?, &client_sql(deployment), page).await?;
    page.text(
        "The row is gone from all three agencies with this very query: consent is read where it is kept, in the query \
         itself. It stays withdrawn until the demo is run again.",
    )
}

async fn no_agreement(engine: &Engine, page: &mut Page) -> Result<(), Failure> {
    page.heading("3. A purpose that nobody agreed to")?;
    page.text("The same social worker asks for the same patients, but to investigate benefit fraud:")?;
    page.asks(SOCIAL_WORKER, "benefit-fraud")?;
    let session = session(SOCIAL_WORKER, "benefit-fraud")?;
    ask(engine, &session, "SELECT name, postcode FROM health.main.patients", page).await?;
    page.text("No agency was sent anything. Deny is the default: no agreement, no rows, not even the names of columns.")
}

async fn figures(engine: &Engine, page: &mut Page) -> Result<(), Failure> {
    page.heading("4. Figures across agencies for an analyst")?;
    page.text(
        "Dana plans services. Agreement ISA-2026-030 gives her figures about groups and no person's row: numbers are keyed \
         pseudonyms, which still join; groups of fewer than ten persons are suppressed and counts rounded to five.",
    )?;
    page.asks(ANALYST, "commissioning-analytics")?;
    ask(engine, &session(ANALYST, "commissioning-analytics")?, FIGURES_SQL, page).await?;
    page.text("The same analyst asks for persons instead:")?;
    page.asks(ANALYST, "commissioning-analytics")?;
    let persons = "SELECT nhs_number, gp_practice FROM health.main.patients LIMIT 5";
    ask(engine, &session(ANALYST, "commissioning-analytics")?, persons, page).await
}

const FIGURES_SQL: &str = "SELECT p.gp_practice, count(*) AS packages, count(DISTINCT p.nhs_number) AS persons\n\
     FROM health.main.patients p JOIN social.main.packages k ON k.nhs_number = p.nhs_number\n\
     GROUP BY p.gp_practice ORDER BY packages DESC";

fn what_next(deployment: &Deployment, page: &mut Page) -> Result<(), Failure> {
    let wayleave = command();
    let directory = deployment.directory();
    let config = shell_word(&deployment.configuration());
    let assessing = format!("--config {config} --as {SOCIAL_WORKER} --purpose joint-needs-assessment");
    let safeguarding = format!("--config {config} --as {SAFEGUARDING_LEAD} --purpose safeguarding");
    let child = &deployment.child().nhs_number;
    page.heading("What to try next")?;
    page.text("Ask yourself; without SQL it is a shell with history and completion:")?;
    page.code(&format!("{wayleave} query {assessing}"))?;
    page.code(&format!(
        "{wayleave} query {assessing} \\\n  \"SELECT name, team, address FROM unified.clients WHERE team IS NOT NULL LIMIT 5\""
    ))?;
    page.text("See what you may see, and what a query would send to whom:")?;
    page.code(&format!("{wayleave} tables {assessing}"))?;
    page.code(&format!(
        "{wayleave} explain {assessing} \\\n  \"SELECT c.full_name, p.gp_practice FROM social.main.clients c JOIN \
         health.main.patients p USING (nhs_number)\""
    ))?;
    page.text("Act under statute, where no consent is asked but a case and a reason are (leave them out, too):")?;
    page.code(&format!(
        "{wayleave} query {safeguarding} \\\n  --case MASH-2026-118 --reason \"missing since Friday\" \\\n  \
         \"SELECT p.forename, p.school, i.kind, i.happened_at FROM education.main.pupils p \\\n   JOIN \
         police.main.incidents i USING (nhs_number) WHERE p.nhs_number = '{child}'\""
    ))?;
    page.text("Change an agreement: take \"address\" out of the columns of social.main.clients and ask again.")?;
    page.code(&format!(
        "${{EDITOR:-nano}} {}",
        shell_word(&directory.join("policies/agreements/joint-needs-assessment.toml"))
    ))?;
    page.code(&format!("{wayleave} check --config {config}"))?;
    page.text("Everything above is on record, in a chain that shows when somebody changes it:")?;
    page.code(&format!("{wayleave} audit verify --config {config}"))
}

fn assessing() -> Result<Session, Error> {
    session(SOCIAL_WORKER, "joint-needs-assessment")
}

fn session(identity: &str, purpose: &str) -> Result<Session, Error> {
    Ok(Session::new(Identity::parse(identity)?, purpose))
}

fn client_sql(deployment: &Deployment) -> String {
    format!("SELECT * FROM unified.clients WHERE nhs_number = '{}'", deployment.older_client().nhs_number)
}

/// Asks and shows the answer or the refusal, its notices, and what each agency was sent.
async fn ask(engine: &Engine, session: &Session, sql: &str, page: &mut Page) -> Result<(), Failure> {
    page.code(sql)?;
    match engine.query(session, sql).await {
        Ok(answer) => show_answer(answer, page).await,
        Err(refusal) => show_refusal(&refusal, page),
    }
}

async fn show_answer(answer: Answer, page: &mut Page) -> Result<(), Failure> {
    let Answer { schema, batches, notices, fragments, .. } = answer;
    let batches = collect(batches).await.map_err(Error::from)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let unshown = |error: ArrowError| Failure::output("the answer cannot be shown", &error);
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        // A wide single row reads better as a list.
        Some(record) if rows == 1 && record.num_columns() > 6 => {
            page.block("", &record_lines(record).map_err(unshown)?)?
        }
        None if schema.fields().len() > 6 => page.strong("(0 rows)")?,
        _ => {
            let mut text = Vec::new();
            let mut table = TableWriter::new(&mut text, &schema);
            batches.iter().try_for_each(|batch| table.write(batch)).and_then(|()| table.finish()).map_err(unshown)?;
            page.block("", String::from_utf8_lossy(&text).trim_end())?;
        }
    }
    for notice in &notices {
        page.strong(&format!("notice: {notice}"))?;
    }
    page.gap()?;
    page.line("What each agency was sent:")?;
    for fragment in &fragments {
        page.sent(&fragment.agency, &fragment.sql)?;
    }
    page.gap()
}

fn show_refusal(refusal: &Error, page: &mut Page) -> Result<(), Failure> {
    page.strong(&format!("error: {refusal}"))?;
    for (word, text) in [("detail", refusal.detail()), ("hint", refusal.hint())] {
        if let Some(text) = text {
            page.line(&format!("{word}: {text}"))?;
        }
    }
    page.gap()
}

/// One row as lines of name and value, with the agency that the view says it came from.
fn record_lines(batch: &RecordBatch) -> Result<String, ArrowError> {
    let options = FormatOptions::new().with_null("-");
    let schema = batch.schema();
    let mut values = Vec::new();
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let value = ArrayFormatter::try_new(array.as_ref(), &options)?.value(0).try_to_string()?;
        values.push((field.name().as_str(), printable(&value)));
    }
    let source_of = |name: &str| {
        let wanted = format!("{name}_source");
        values.iter().find(|(name, _)| *name == wanted).map(|(_, agency)| agency.as_str())
    };
    let is_source =
        |name: &str| name.strip_suffix("_source").is_some_and(|stem| values.iter().any(|(other, _)| *other == stem));
    let shown = values.iter().filter(|(name, _)| !is_source(name));
    let lines = shown.map(|(name, value)| match source_of(name) {
        Some(agency) => format!("{name:<12} {value:<32} {agency}"),
        None => format!("{name:<12} {value}"),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// How this process was started, so that the commands printed can be pasted.
fn command() -> String {
    // Cargo tells what it runs where its package lies.
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        return format!("cargo run -q{profile} --");
    }
    std::env::args_os().next().map_or_else(|| "wayleave".to_owned(), |program| shell_word(Path::new(&program)))
}

/// A path as one word of a shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// `20000` as `20,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Breaks a text at blanks so that no line is longer than `width` where it can be helped. Blanks inside SQL's quotes are
/// kept as they are.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in words(paragraph) {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The parts of a text between blanks that stand outside single and double quotes. An apostrophe inside a word of prose
/// opens no quote: SQL never has a quote right after a letter that is followed by another.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote, mut before) = (0, None, ' ');
    for (place, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') && !before.is_alphanumeric() => quote = Some(character),
            None if character == ' ' => {
                words.push(text.get(start..place).unwrap_or_default());
                start = place + 1;
            }
            None => {}
        }
        before = character;
    }
    words.push(text.get(start..).unwrap_or_default());
    words.retain(|word| !word.is_empty());
    words
}

/// What the demo writes on: bold and dim on a terminal, plain text elsewhere.
struct Page {
    out: io::Stdout,
    styled: bool,
}

impl Page {
    fn new() -> Self {
        let out = io::stdout();
        let styled = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { out, styled }
    }

    fn put(&mut self, style: &str, text: &str) -> Result<(), Failure> {
        match (self.styled, style) {
            (false, _) | (_, "") => writeln!(self.out, "{text}")?,
            (true, style) => writeln!(self.out, "\x1b[{style}m{text}\x1b[0m")?,
        }
        Ok(())
    }

    fn gap(&mut self) -> Result<(), Failure> {
        self.put("", "")
    }

    fn title(&mut self, text: &str) -> Result<(), Failure> {
        self.put("1", text)?;
        self.put("", &"=".repeat(text.chars().count()))?;
        self.gap()
    }

    fn heading(&mut self, text: &str) -> Result<(), Failure> {
        self.gap()?;
        self.put("1;36", text)?;
        self.put("36", &"-".repeat(text.chars().count()))
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        for line in wrapped(text, WIDTH) {
            self.put("", &line)?;
        }
        self.gap()
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        for (place, line) in wrapped(text, WIDTH - 4).iter().enumerate() {
            self.put("", &format!("{}{line}", if place == 0 { "  " } else { "    " }))?;
        }
        Ok(())
    }

    fn strong(&mut self, text: &str) -> Result<(), Failure> {
        for line in wrapped(text, WIDTH - 2) {
            self.put("1;33", &format!("  {line}"))?;
        }
        Ok(())
    }

    fn asks(&mut self, identity: &str, purpose: &str) -> Result<(), Failure> {
        self.put("2", &format!("  as {identity}, for {purpose}"))
    }

    fn code(&mut self, text: &str) -> Result<(), Failure> {
        self.block("32", text)?;
        self.gap()
    }

    fn block(&mut self, style: &str, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.put(style, &format!("  {line}")))
    }

    fn sent(&mut self, agency: &str, sql: &str) -> Result<(), Failure> {
        self.put("1", &format!("  {agency}"))?;
        for line in wrapped(sql, WIDTH - 4) {
            self.put("2", &format!("    {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_outside_quotes_only() {
        let sql = "SELECT \"full name\" FROM t WHERE nhs_number = '999 201 9441' AND x = 1";
        assert_eq!(wrapped(sql, 24), ["SELECT \"full name\" FROM", "t WHERE nhs_number =", "'999 201 9441' AND x = 1"]);
        assert_eq!(wrapped(sql, 24).join(" "), sql);
        assert_eq!(wrapped("the agency's own index serves it", 20), ["the agency's own", "index serves it"]);
        assert_eq!(wrapped("one\n\ntwo", 20), ["one", "", "two"]);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            ["0", "999", "1,000", "20,000", "1,234,567"],
            [0, 999, 1000, 20_000, 1_234_567].map(grouped).as_slice()
        );
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(shell_word(Path::new("wayleave-demo/wayleave.toml")), "wayleave-demo/wayleave.toml");
        assert_eq!(shell_word(Path::new("my demo's/w.toml")), r"'my demo'\''s/w.toml'");
    }
}
