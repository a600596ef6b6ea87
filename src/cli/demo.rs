//! `wayleave demo`: makes a small deployment and shows what it does, scene by scene.

mod page;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::Args;
use datafusion::physical_plan::common::collect;

use self::page::Page;
use super::table::{TableWriter, printable};
use super::{Failure, open_engine};
use crate::demo::{AgencySummary, DemoError, Deployment};
use crate::engine::{Answer, Engine, FragmentReport};
use crate::error::Error;
use crate::session::{Identity, Session};

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
    show(&args, &mut Page::on_standard_output()).await
}

async fn show(args: &DemoArgs, page: &mut Page) -> Result<(), Failure> {
    let deployment = Deployment::write(&args.directory, args.persons, args.seed)?;
    introduce(&deployment, page)?;
    let engine = open_engine(&deployment.configuration()).await?;
    let before = one_client(&engine, &deployment, page).await?;
    withdrawal(&engine, &deployment, &before, page).await?;
    no_agreement(&engine, page).await?;
    figures(&engine, page).await?;
    what_next(&deployment, page)
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

async fn one_client(engine: &Engine, deployment: &Deployment, page: &mut Page) -> Result<Shown, Failure> {
    let margaret = deployment.older_client();
    page.heading("1. One client, three agencies, one row")?;
    page.text(&format!(
        "Alice is a social worker. She assesses {} together with the hospital and the landlord; agreement ISA-2026-014 lets \
         her. Health writes the number '999 201 9441', social care '9992019441', housing '999-201-9441'. Alice does not \
         need to know.",
        margaret.full_name()
    ))?;
    let shown = ask(engine, &assessing()?, &client_sql(deployment), &[], page).await?;
    expect_rows(&shown, 1)?;
    page.text(
        "Each value names the agency that it came from. The postcode is cut to its first half and the tenant's phone to its \
         last digits, as the agreement says. Each statement looks the number up as its agency writes it, so that the \
         agency's own index serves, and carries the agreement's filter. Health's register of consents decides for the rows \
         of all three, and is read in the same query. nhs_number(…) and iso_date(…) bring numbers and dates into one form.",
    )?;
    Ok(shown)
}

async fn withdrawal(engine: &Engine, deployment: &Deployment, before: &Shown, page: &mut Page) -> Result<(), Failure> {
    let margaret = deployment.older_client();
    page.heading("2. She withdraws her consent")?;
    page.text(&format!(
        "{} tells her district nurse that she no longer wants this. The nurse enters it where health keeps such decisions, \
         in health's own table; nobody tells Wayleave:",
        margaret.full_name()
    ))?;
    page.code(&deployment.withdraw_consent(margaret)?)?;
    page.text("Alice asks again:")?;
    let shown = ask(engine, &assessing()?, &client_sql(deployment), &before.fragments, page).await?;
    expect_rows(&shown, 0)?;
    page.text(
        "With this very query the row is gone from all three agencies: consent is read where it is kept, in the query \
         itself. The notices are those of any query under this agreement; they do not tell that somebody in particular \
         refused. She stays withdrawn until the demo is run again.",
    )
}

async fn no_agreement(engine: &Engine, page: &mut Page) -> Result<(), Failure> {
    page.heading("3. A purpose that nobody agreed to")?;
    page.text("The same social worker asks for the same patients, but to investigate benefit fraud:")?;
    let investigating = session(SOCIAL_WORKER, "benefit-fraud")?;
    ask_in_vain(engine, &investigating, "SELECT name, postcode FROM health.main.patients", page).await?;
    page.text(
        "No agency was sent anything. Deny is the default: without an agreement there are no rows, and not even the names \
         of columns.",
    )
}

async fn figures(engine: &Engine, page: &mut Page) -> Result<(), Failure> {
    page.heading("4. Figures across agencies for an analyst")?;
    page.text(
        "Dana plans services. Agreement ISA-2026-030 gives her figures about groups and no person's row: numbers are keyed \
         pseudonyms, which still join; groups of fewer than ten persons are left out and counts are rounded to five.",
    )?;
    let planning = session(ANALYST, "commissioning-analytics")?;
    ask(engine, &planning, FIGURES_SQL, &[], page).await?;
    page.text("The same analyst asks for persons instead:")?;
    ask_in_vain(engine, &planning, "SELECT nhs_number, gp_practice FROM health.main.patients LIMIT 5", page).await
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

/// What an answer was, for the scenes that follow.
struct Shown {
    rows: usize,
    fragments: Vec<FragmentReport>,
}

/// Asks a question that is answered, and shows the answer, its notices and what each agency was sent.
async fn ask(
    engine: &Engine,
    session: &Session,
    sql: &str,
    sent_before: &[FragmentReport],
    page: &mut Page,
) -> Result<Shown, Failure> {
    page.asks(session)?;
    page.code(sql)?;
    let Answer { schema, batches, notices, fragments, .. } = engine.query(session, sql).await?;
    let batches = collect(batches).await.map_err(Error::from)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let unshown = |error: ArrowError| Failure::output("the answer cannot be shown", &error);
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        // A wide single row reads better as a list.
        Some(record) if rows == 1 && record.num_columns() > 6 => {
            page.block("", &record_lines(record).map_err(unshown)?)?;
        }
        None if schema.fields().len() > 6 => page.strong("(0 rows)")?,
        _ => {
            let mut text = Vec::new();
            let mut table = TableWriter::new(&mut text, &schema);
            batches.iter().try_for_each(|batch| table.write(batch)).and_then(|()| table.finish()).map_err(unshown)?;
            page.block("", String::from_utf8_lossy(&text).trim_end())?;
        }
    }
    page.gap()?;
    for notice in &notices {
        page.line(&format!("notice: {notice}"))?;
    }
    if !notices.is_empty() {
        page.gap()?;
    }
    if fragments == sent_before {
        page.text("Each agency was sent the same SQL as before.")?;
    } else {
        page.text("What each agency was sent:")?;
        for (place, fragment) in fragments.iter().enumerate() {
            let sent = |other: &&FragmentReport| other.agency == fragment.agency && other.sql == fragment.sql;
            match fragments.iter().take(place).find(sent) {
                Some(_) => page.line(&format!("{} once more, the same statement", fragment.agency))?,
                None => page.sent(&fragment.agency, &fragment.sql)?,
            }
        }
        page.gap()?;
    }
    Ok(Shown { rows, fragments })
}

/// Asks a question that is refused, and shows the refusal.
async fn ask_in_vain(engine: &Engine, session: &Session, sql: &str, page: &mut Page) -> Result<(), Failure> {
    page.asks(session)?;
    page.code(sql)?;
    match engine.query(session, sql).await {
        Ok(_) => Err(Failure::output("the demo went wrong", &"a question was answered that must be refused")),
        Err(refusal) => show_refusal(&refusal, page),
    }
}

/// Stops the demo where it would tell what is not so.
fn expect_rows(shown: &Shown, rows: usize) -> Result<(), Failure> {
    if shown.rows == rows {
        return Ok(());
    }
    Err(Failure::output("the demo went wrong", &format!("{} rows came where {rows} should have", shown.rows)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_scene_goes_as_it_is_told_and_again_on_a_rerun() {
        let directory = tempfile::tempdir().unwrap();
        let args = DemoArgs { directory: directory.path().to_owned(), persons: 1500, seed: 42 };
        for _ in 0..2 {
            let (mut page, written) = Page::in_memory();
            show(&args, &mut page).await.unwrap();
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            for expected in [
                "name         Margaret Ellis                   health",
                "phone        ***417                           housing",
                "IN ('999 201 9441')",
                "IN ('9992019441', '999 201 9441', '999-201-9441')",
                "(0 rows)",
                "error: `health.main.patients` is not released",
                "error: agreement `ISA-2026-030` releases aggregates only",
                "audit verify --config",
            ] {
                assert!(text.contains(expected), "{expected}\n{text}");
            }
            assert!(!text.contains('\x1b'));
        }
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
