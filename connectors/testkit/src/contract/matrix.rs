//! The conformance matrix, `connectors/MATRIX.md`: what each connector says of itself and the suite has proven.
//!
//! Every connector's tests hold its own column against the file; with `UPDATE=1` in the environment they write it instead, and
//! leave the others' as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use wayleave_connector_api::{OutputColumn, Support, TableName};

use super::Kind;
use super::behaviour;
use super::expressions::{CASES, case_name};
use super::fixture::{Fixture, Settings, excuses, matches};
use super::groups::USES;
use super::kind::RARITIES;
use super::network;
use super::prove::{judge, spec};
use super::queries::{QUERIES, reasons};
use super::world::World;

const HEAD: &str = "# What each connector does\n\n\
Written by the contract suite ([testkit/src/contract](testkit/src/contract)) and checked by it: `UPDATE=1 cargo test matrix` writes\n\
each connector's column anew. *Exact*: the source computes it, and its answer over every value of the suite is ours. *Here*: rows\n\
arrive, and it is computed in Wayleave. *Partly*: some operands of the kind go down, and others stay here.\n";

const SECTIONS: [&str; 5] = ["Types", "Values", "Expressions", "Queries", "Behaviours"];
const EXCEPTIONS: &str = "What stays here, or is not there, and why";

/// Behaviours that a fixture may say it has no use for.
const OPTIONAL: [&str; 2] = ["keys", "source identity"];

/// Behaviours that every connector has.
const ALWAYS: [&str; 11] = [
    "introspection",
    "500 columns, values of a megabyte, empty tables",
    "keyed joins of 1, 1,000 and 1,000,000 keys",
    "first row before the scan's end",
    "a dropped result ends at its source",
    "statement timeout",
    "connection budget",
    "read-only",
    "refusals without a hidden name",
    "no row of another query",
    "results whole or an error",
];

type Column = BTreeMap<String, BTreeMap<String, String>>;

/// The column of the matrix that belongs to this fixture is true, and nothing is excused that does not exist.
pub async fn matrix(fixture: &dyn Fixture) {
    let (column, why) = describe(fixture).await;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../MATRIX.md");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut page = Page::parse(&text);
    page.put(fixture.name(), &column, why);
    let written = page.write();
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&path, &written).unwrap();
        return;
    }
    let first = text.lines().zip(written.lines()).find(|(old, new)| old != new);
    assert!(
        text == written,
        "`connectors/MATRIX.md` is not true ({first:?}): `UPDATE=1 cargo test matrix` writes it anew"
    );
}

/// A column for each section, and the reasons with what they are for.
async fn describe(fixture: &dyn Fixture) -> (Column, BTreeMap<String, BTreeSet<String>>) {
    let mut column = Column::new();
    let mut why: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut put = |section: &str, row: &str, cell: String| {
        column.entry(section.to_owned()).or_default().insert(row.to_owned(), cell);
    };
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| fixture.declare(*kind).is_some()).collect();
    for kind in Kind::ALL {
        names.push(format!("type {}", kind.name()));
        let cell = fixture.declare(kind).map_or("–".to_owned(), |declared| {
            let other =
                if declared.arrives == kind.data_type() { String::new() } else { format!(" as {}", declared.arrives) };
            format!("`{}`{other}", declared.sql)
        });
        put("Types", kind.name(), cell);
    }
    let own: Vec<String> = fixture.own_types().iter().map(|own| format!("`{}`", own.sql)).collect();
    put("Types", "of its own", if own.is_empty() { "–".to_owned() } else { own.join(", ") });
    for rarity in RARITIES {
        names.push(rarity.to_owned());
        put("Values", rarity, if excuses(fixture, rarity).is_empty() { "held" } else { "–" }.to_owned());
    }
    let specs: Vec<_> = kinds.iter().map(|kind| spec(fixture, *kind)).collect();
    let database = fixture.database("matrix", &specs).await;
    let connector = database.connector(Settings::default());
    let mut inputs: Vec<Vec<OutputColumn>> = Vec::new();
    for spec in &specs {
        let table = connector.table(&TableName::new(database.schema(), &spec.name)).await.unwrap().unwrap();
        inputs.push(table.columns.iter().map(OutputColumn::from).collect());
    }
    let mut summary = |row: &str, marks: Vec<(Kind, bool, BTreeSet<&'static str>)>| {
        let (mut here, mut partly) = (Vec::new(), Vec::new());
        for (kind, goes_down, reasons) in &marks {
            for reason in reasons {
                why.entry((*reason).to_owned()).or_default().insert(format!("{row} over {}", kind.name()));
            }
            match (goes_down, reasons.is_empty()) {
                (false, _) => here.push(kind.name()),
                (true, false) => partly.push(kind.name()),
                (true, true) => {}
            }
        }
        let listed = |word: &str, kinds: &[&str]| (!kinds.is_empty()).then(|| format!("{word}: {}", kinds.join("; ")));
        if here.len() == marks.len() {
            return "here".to_owned();
        }
        let exceptions: Vec<String> =
            [listed("here", &here), listed("partly", &partly)].into_iter().flatten().collect();
        if exceptions.is_empty() { "exact".to_owned() } else { format!("exact ({})", exceptions.join(". ")) }
    };
    for case in CASES {
        let marks = kinds.iter().zip(&inputs).filter(|(kind, _)| (case.is_for)(**kind)).map(|(kind, inputs)| {
            let judged = judge(case, *kind, connector.as_ref(), inputs);
            (*kind, judged.goes_down(), judged.reasons())
        });
        let cell = summary(case.name, marks.collect());
        put("Expressions", case.name, cell);
        names.extend(Kind::ALL.into_iter().filter(|kind| (case.is_for)(*kind)).map(|kind| case_name(case, kind)));
    }
    for asked in USES {
        let marks = kinds.iter().zip(&inputs).filter(|(kind, _)| (asked.is_for)(**kind)).map(|(kind, inputs)| {
            let support = (asked.support)(connector.dialect(), inputs);
            let reasons = match support {
                Support::Exact => BTreeSet::new(),
                Support::Superset { reason } | Support::Local { reason } => BTreeSet::from([reason]),
            };
            (*kind, reasons.is_empty(), reasons)
        });
        let cell = summary(asked.name, marks.collect());
        put("Expressions", asked.name, cell);
        let all = Kind::ALL.into_iter().filter(|kind| (asked.is_for)(*kind));
        names.extend(all.map(|kind| format!("{} over {}", asked.name, kind.name())));
    }
    let world = World::new(fixture, "matrix_queries").await;
    for query in QUERIES {
        names.push(query.name.to_owned());
        let reasons = reasons(world.connector.dialect(), &query.relation(&world));
        for reason in &reasons {
            why.entry((*reason).to_owned()).or_default().insert(query.name.to_owned());
        }
        put("Queries", query.name, if reasons.is_empty() { "exact" } else { "here" }.to_owned());
    }
    for name in ALWAYS {
        put("Behaviours", name, "yes".to_owned());
    }
    let quoting = behaviour::NAMES.map(|(label, _)| format!("name with {label}"));
    for name in OPTIONAL.into_iter().chain(network::NAMES).map(str::to_owned).chain(quoting) {
        put("Behaviours", &name, if excuses(fixture, &name).is_empty() { "yes" } else { "–" }.to_owned());
        names.push(name);
    }
    for cannot in fixture.cannot() {
        for pattern in cannot.what {
            let covered: Vec<&String> = names.iter().filter(|name| matches(pattern, name)).collect();
            assert!(!covered.is_empty(), "`{pattern}` is the name of nothing in the suite");
            let plain = covered.into_iter().filter(|name| !name.contains(" over "));
            why.entry(cannot.why.to_owned()).or_default().extend(plain.cloned());
        }
    }
    why.retain(|_, what| !what.is_empty());
    (column, why)
}

/// A row's name, and its cell of each connector.
type Row = (String, BTreeMap<String, String>);

/// The file, taken apart.
#[derive(Default)]
struct Page {
    /// Names of the columns, in order.
    connectors: BTreeSet<String>,
    /// The rows of each section.
    cells: BTreeMap<String, Vec<Row>>,
    exceptions: BTreeMap<String, Vec<String>>,
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let (mut section, mut connector) = (String::new(), String::new());
        let mut columns: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("## ") {
                name.clone_into(&mut section);
            } else if let Some(name) = line.strip_prefix("### ") {
                name.clone_into(&mut connector);
            } else if section == EXCEPTIONS && line.starts_with("- ") {
                page.exceptions.entry(connector.clone()).or_default().push(line.to_owned());
            } else if line.starts_with("|---") || !line.starts_with('|') {
            } else {
                let cells: Vec<String> =
                    line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace("\\|", "|")).collect();
                let Some((first, cells)) = cells.split_first() else { continue };
                if first.is_empty() {
                    columns = cells.to_vec();
                    page.connectors.extend(columns.iter().cloned());
                } else {
                    let cells = columns.iter().cloned().zip(cells.iter().cloned()).collect();
                    page.cells.entry(section.clone()).or_default().push((first.clone(), cells));
                }
            }
        }
        page
    }

    fn put(&mut self, connector: &str, column: &Column, why: BTreeMap<String, BTreeSet<String>>) {
        self.connectors.insert(connector.to_owned());
        for section in SECTIONS {
            let old = self.cells.remove(section).unwrap_or_default();
            let new = &column[section];
            let rows = order(section).into_iter().map(|row| {
                let mut cells =
                    old.iter().find(|(name, _)| *name == row).map_or_else(BTreeMap::new, |(_, cells)| cells.clone());
                cells.insert(connector.to_owned(), new[&row].clone());
                (row, cells)
            });
            self.cells.insert(section.to_owned(), rows.collect());
        }
        let lines = why.into_iter().map(|(reason, what)| {
            let what: Vec<String> = what.into_iter().collect();
            format!("- {reason}: {}", what.join("; "))
        });
        self.exceptions.insert(connector.to_owned(), lines.collect());
    }

    fn write(&self) -> String {
        let mut text = HEAD.to_owned();
        for section in SECTIONS {
            write!(text, "\n## {section}\n\n| |").unwrap();
            self.connectors.iter().for_each(|connector| write!(text, " {connector} |").unwrap());
            write!(text, "\n|---|{}\n", "---|".repeat(self.connectors.len())).unwrap();
            for (row, cells) in &self.cells[section] {
                write!(text, "| {row} |").unwrap();
                for connector in &self.connectors {
                    let cell = cells.get(connector).map_or("?", String::as_str).replace('|', "\\|");
                    write!(text, " {cell} |").unwrap();
                }
                text.push('\n');
            }
        }
        write!(text, "\n## {EXCEPTIONS}\n").unwrap();
        for (connector, lines) in &self.exceptions {
            write!(text, "\n### {connector}\n\n{}\n", lines.join("\n")).unwrap();
        }
        text
    }
}

/// The rows of a section.
fn order(section: &str) -> Vec<String> {
    let owned = |name: &str| name.to_owned();
    match section {
        "Types" => Kind::ALL.iter().map(|kind| kind.name()).chain(["of its own"]).map(owned).collect(),
        "Values" => RARITIES.map(str::to_owned).to_vec(),
        "Expressions" => {
            CASES.iter().map(|case| case.name).chain(USES.iter().map(|asked| asked.name)).map(owned).collect()
        }
        "Queries" => QUERIES.iter().map(|query| owned(query.name)).collect(),
        _ => {
            let fixed = ALWAYS.into_iter().chain(OPTIONAL).chain(network::NAMES).map(owned);
            fixed.chain(behaviour::NAMES.map(|(label, _)| format!("name with {label}"))).collect()
        }
    }
}
