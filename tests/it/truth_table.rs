//! Every cell of `policies/TRUTH_TABLE.md`, asked of the engine: one person a row of the table, one question a column.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wayleave::policy::files::PolicySet;
use wayleave::stewardship::{CaseFile, rehearse};

/// How a column of the tables is asked: the agreement's consent, and how the session asks past it.
const COLUMNS: [(&str, &str, &str); 6] = [
    ("opt-in", "mode = \"opt-in\"\nno_information = \"deny\"", ""),
    ("opt-out, silence permits", "mode = \"opt-out\"\nno_information = \"permit\"", ""),
    ("opt-out, silence denies", "mode = \"opt-out\"\nno_information = \"deny\"", ""),
    ("not-required", "mode = \"not-required\"", ""),
    ("overridden", "mode = \"opt-in\"\nno_information = \"deny\"", "beyond_consent = \"override\""),
    ("glass broken", "mode = \"opt-in\"\nno_information = \"deny\"", "beyond_consent = \"break-glass\""),
];

const KEY: &str = "9020000020";

/// One row of the document: its label, and what each column says.
type Row = (String, BTreeMap<String, bool>);

/// The tables of the document, in order.
fn tables() -> Vec<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/TRUTH_TABLE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut tables: Vec<Vec<Row>> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    for line in text.lines() {
        let cells: Vec<String> = match line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            Some(line) => line.split('|').map(|cell| cell.trim().to_owned()).collect(),
            None => {
                columns.clear();
                continue;
            }
        };
        if columns.is_empty() {
            columns = cells;
            tables.push(Vec::new());
        } else if !cells[0].starts_with("---") {
            let said = columns.iter().zip(&cells).skip(1);
            let cells = said.map(|(column, cell)| {
                assert!(cell == "released" || cell == "withheld", "{line}");
                (column.clone(), cell == "released")
            });
            tables.last_mut().unwrap().push((line.split('|').nth(1).unwrap().trim().to_owned(), cells.collect()));
        }
    }
    tables
}

/// The entries that a label speaks of, as rows of a case file; the day is 2026-06-01, and the record of 2026-03-01.
fn entries(label: &str) -> Vec<String> {
    if label == "nothing" {
        return Vec::new();
    }
    label.split(", ").map(entry).collect()
}

fn entry(said: &str) -> String {
    let mut fields: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let quoted = |text: &str| Some(format!("\"{text}\""));
    fields.insert("nhs_number", quoted(KEY));
    fields.insert("purpose", quoted("care"));
    fields.insert("recipient", quoted("county"));
    fields.insert("valid_from", Some("2026-01-01".to_owned()));
    fields.insert("given_by", quoted("person"));
    fields.insert("records_from", Some("2020-01-01".to_owned()));
    let rest = if let Some(rest) = said.strip_prefix("an unknown word ") {
        fields.insert("status", quoted("perhaps"));
        rest
    } else if let Some(rest) = said.strip_prefix("NULL ") {
        rest
    } else {
        let (status, rest) = said.split_once(' ').unwrap();
        fields.insert("status", quoted(status));
        rest
    };
    let both = |fields: &mut BTreeMap<&str, Option<String>>, code: Option<String>| {
        fields.insert("purpose", code.clone());
        fields.insert("recipient", code);
    };
    match rest {
        "for this" | "by the person" | "for records of this date" => {}
        "for *" => both(&mut fields, quoted("*")),
        "for other" => both(&mut fields, quoted("other")),
        "for NULL" => both(&mut fields, None),
        "for this until yesterday" => drop(fields.insert("valid_to", Some("2026-05-31".to_owned()))),
        "for this until today" => drop(fields.insert("valid_to", Some("2026-06-01".to_owned()))),
        "for this from tomorrow" => drop(fields.insert("valid_from", Some("2026-06-02".to_owned()))),
        "for this from NULL" => drop(fields.remove("valid_from")),
        "by an attorney" => drop(fields.insert("given_by", quoted("lpa"))),
        "by somebody else" => drop(fields.insert("given_by", quoted("neighbour"))),
        "by NULL" => drop(fields.remove("given_by")),
        "for older records" => drop(fields.insert("records_until", Some("2026-02-28".to_owned()))),
        "for records from NULL" => drop(fields.remove("records_from")),
        of_parent => {
            let age = of_parent.strip_prefix("by a parent of a child of ").unwrap_or_else(|| panic!("{said}"));
            fields.insert("given_by", quoted("parent"));
            let born = match age {
                "15" => Some("2010-06-02".to_owned()),
                "16" => Some("2010-06-01".to_owned()),
                "unknown age" => None,
                other => panic!("{other}"),
            };
            fields.insert("born", born);
        }
    }
    let written = fields.iter().filter_map(|(name, value)| Some(format!("{name} = {}", value.as_ref()?)));
    format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
}

fn policies(consent: &str, detailed: bool) -> PolicySet {
    let registers = if consent.contains("not-required") { "" } else { "registers = [\"decisions\"]\n" };
    let past = match consent.contains("not-required") {
        true => "[require]\ncase_reference = true\nreason = true\n",
        false => {
            "[override]\nroles = [\"nurse\"]\ngateway = \"an Act\"\n[break_glass]\nroles = [\"nurse\"]\nhours = 1\n"
        }
    };
    let agreement = format!(
        "[agreement]\nid = \"A\"\ntitle = \"t\"\nowner = \"o@example.org\"\nstarts = 2026-01-01\nends = 2026-12-31\nreview_by = \
         2026-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n[[recipient]]\norganisation = \"county\"\nroles = \
         [\"nurse\"]\n[consent]\n{consent}\n{registers}{past}[[share]]\ntable = \"health.main.notes\"\ncolumns = \
         [\"note_id\"]\ndated_by = \"happened_on\"\n"
    );
    let details = "records = { from = \"records_from\", until = \"records_until\" }\ngiven_by = { column = \"given_by\", self = \
                   [\"person\"], parent = [\"parent\"], attorney = [\"lpa\"] }\nchild = { born = \"born\", decides_from = 16 }\n";
    let register = format!(
        "[register.decisions]\ntable = \"health.main.decisions\"\nkind = \"decisions\"\nsubject = {{ column = \"nhs_number\", \
         scheme = \"nhs-number\", form = \"compact\" }}\npurpose = {{ column = \"purpose\" }}\nrecipient = {{ column = \
         \"recipient\" }}\ndecision = {{ column = \"status\", permit = [\"granted\"], deny = [\"refused\"] }}\nfrom = \
         \"valid_from\"\nuntil = \"valid_to\"\n{}",
        if detailed { details } else { "" }
    );
    set_of(&agreement, &register)
}

/// The set of one agreement and one register.
fn set_of(agreement: &str, registers: &str) -> PolicySet {
    let files: BTreeMap<PathBuf, String> = [
        ("agreements/a.toml", agreement),
        ("registers.toml", registers),
        ("purposes.toml", "[purpose.care]\ntitle = \"Care\"\n"),
    ]
    .map(|(name, text)| (PathBuf::from(name), text.to_owned()))
    .into();
    PolicySet::parse(Path::new("policies"), &files).unwrap_or_else(|found| panic!("{found}"))
}

/// A world of one note, and a case a row of the document.
fn cases(rows: &[Row], column: &str, past: &str) -> String {
    let mut text = "on = 2026-06-01\n[[table]]\nname = \"health.main.notes\"\nsubject = { column = \"nhs_number\", scheme = \
                    \"nhs-number\", form = \"compact\" }\ncolumns = { note_id = \"INTEGER\", nhs_number = \"TEXT\", happened_on = \
                    \"DATE\" }\n[[table]]\nname = \"health.main.decisions\"\ncolumns = { nhs_number = \"TEXT\", purpose = \"TEXT\", \
                    recipient = \"TEXT\", status = \"TEXT\", valid_from = \"DATE\", valid_to = \"DATE\", given_by = \"TEXT\", born = \
                    \"DATE\", records_from = \"DATE\", records_until = \"DATE\" }\n"
        .to_owned();
    for (label, cells) in rows {
        let Some(released) = cells.get(column) else { continue };
        let (key, entries) = match label.as_str() {
            "no key" => ("", Vec::new()),
            "an invalid key" => ("nhs_number = \"9020000021\", ", Vec::new()),
            label => ("nhs_number = \"9020000020\", ", entries(label)),
        };
        let mut add =
            format!("{{ table = \"health.main.notes\", rows = [{{ note_id = 1, {key}happened_on = 2026-03-01 }}] }}");
        if !entries.is_empty() {
            let _ = write!(add, ", {{ table = \"health.main.decisions\", rows = [{}] }}", entries.join(", "));
        }
        let rows = if *released { "[{ note_id = 1 }]" } else { "[]" };
        let _ = write!(
            text,
            "[[case]]\nname = \"{label}\"\nas = \"n@county/nurse\"\npurpose = \"care\"\ncase = \"c\"\nreason = \
             \"r\"\n{past}\ntable = \"health.main.notes\"\nadd = [{add}]\nrows = {rows}\n"
        );
    }
    text
}

#[tokio::test]
async fn every_cell_of_the_truth_table_is_true() {
    let tables = tables();
    let mut cells = 0;
    let mut wrong = Vec::new();
    for (position, rows) in tables.iter().enumerate() {
        for (column, consent, past) in COLUMNS {
            if !rows.iter().any(|(_, cells)| cells.contains_key(column)) {
                continue;
            }
            let text = cases(rows, column, past);
            let file = CaseFile::parse(Path::new("truth.case.toml"), &text).unwrap_or_else(|found| panic!("{found}"));
            let rehearsal = rehearse(&policies(consent, position == 2), &[file]).await.unwrap();
            cells += rehearsal.cases.len();
            let failed = rehearsal.cases.iter().filter(|case| !case.failures.is_empty());
            wrong.extend(failed.map(|case| format!("{column}: {}: {}", case.name, case.failures.join("; "))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cells, 23 * 6 + 2 * 6 + 20 * 2, "the tables have lost rows");
}

/// A column of the table itself may be the register; and nothing that happens to a person lifts what they refused.
#[tokio::test]
async fn a_column_of_the_table_itself_is_a_register_and_death_lifts_no_refusal() {
    let agreement = "[agreement]\nid = \"A\"\ntitle = \"t\"\nowner = \"o@example.org\"\nstarts = 2026-01-01\nends = \
                     2026-12-31\nreview_by = 2026-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n[[recipient]]\n\
                     organisation = \"county\"\nroles = [\"nurse\"]\n[consent]\nmode = \"opt-out\"\nregisters = \
                     [\"share-record\"]\nno_information = \"permit\"\n[[share]]\ntable = \"health.main.patients\"\ncolumns = \
                     [\"patient_id\", \"died_on\"]\n";
    let register = "[register.share-record]\ntable = \"health.main.patients\"\nkind = \"decisions\"\nsubject = { column = \
                    \"nhs_number\", scheme = \"nhs-number\", form = \"compact\" }\ndecision = { column = \"share_record\", \
                    permit = [\"Y\"], deny = [\"N\"] }\n";
    let set = set_of(agreement, register);
    let cases = "on = 2026-06-01\n[[table]]\nname = \"health.main.patients\"\nsubject = { column = \"nhs_number\", scheme = \
                 \"nhs-number\", form = \"compact\" }\ncolumns = { patient_id = \"INTEGER\", nhs_number = \"TEXT\", share_record \
                 = \"TEXT\", died_on = \"DATE\" }\nrows = [\n\
                 { patient_id = 1, nhs_number = \"9020000020\", share_record = \"Y\" },\n\
                 { patient_id = 2, nhs_number = \"9030000031\", share_record = \"N\" },\n\
                 { patient_id = 3, nhs_number = \"9040000042\" },\n\
                 { patient_id = 4, nhs_number = \"9050000053\", share_record = \"N\", died_on = 2026-01-01 },\n\
                 { patient_id = 5, nhs_number = \"9060000064\", share_record = \"Y\", died_on = 2026-01-01 },\n\
                 { patient_id = 6, nhs_number = \"9070000075\", share_record = \"?\" },\n\
                 ]\n[[case]]\nname = \"whoever said no, or of whom it is not known\"\nas = \"n@county/nurse\"\npurpose = \
                 \"care\"\ntable = \"health.main.patients\"\nrows = [{ patient_id = 1 }, { patient_id = 5 }, { patient_id = 6 }]\n";
    let file = CaseFile::parse(Path::new("own.case.toml"), cases).unwrap_or_else(|found| panic!("{found}"));
    let rehearsal = rehearse(&set, &[file]).await.unwrap();
    assert_eq!(rehearsal.cases[0].failures, [""; 0]);
}

/// Where nothing says which column names the person, nothing says whose key to withhold.
#[tokio::test]
async fn a_list_of_persons_who_are_not_linked_needs_the_subject_of_the_table() {
    let agreement = "[agreement]\nid = \"A\"\ntitle = \"t\"\nowner = \"o@example.org\"\nstarts = 2026-01-01\nends = \
                     2026-12-31\nreview_by = 2026-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n[[recipient]]\n\
                     organisation = \"county\"\nroles = [\"nurse\"]\n[consent]\nmode = \"not-required\"\ndo_not_link = \
                     [\"adopted\"]\n[require]\ncase_reference = true\nreason = true\n[[share]]\ntable = \
                     \"health.main.patients\"\ncolumns = [\"patient_id\", \"nhs_number\"]\n";
    let register = "[register.adopted]\ntable = \"health.main.adopted\"\nkind = \"dissent\"\nsubject = { column = \
                    \"nhs_number\", scheme = \"nhs-number\", form = \"compact\" }\n";
    let cases = |subject: &str, expected: &str| {
        format!(
            "on = 2026-06-01\n[[table]]\nname = \"health.main.patients\"\n{subject}columns = {{ patient_id = \"INTEGER\", \
             nhs_number = \"TEXT\" }}\nrows = [{{ patient_id = 1, nhs_number = \"9020000020\" }}]\n[[table]]\nname = \
             \"health.main.adopted\"\ncolumns = {{ nhs_number = \"TEXT\" }}\nrows = [{{ nhs_number = \"9020000020\" }}]\n\
             [[case]]\nname = \"an adopted child\"\nas = \"n@county/nurse\"\npurpose = \"care\"\ncase = \"c\"\nreason = \
             \"r\"\ntable = \"health.main.patients\"\n{expected}\n"
        )
    };
    let subject = "subject = { column = \"nhs_number\", scheme = \"nhs-number\", form = \"compact\" }\n";
    let texts = [
        cases(subject, "rows = [{ patient_id = 1 }]"),
        cases("", "refused = \"agreement-unusable\"\nbecause = \"`do_not_link` needs a subject column of the table\""),
    ];
    for text in texts {
        let file = CaseFile::parse(Path::new("list.case.toml"), &text).unwrap_or_else(|found| panic!("{found}"));
        let rehearsal = rehearse(&set_of(agreement, register), &[file]).await.unwrap();
        assert_eq!(rehearsal.cases[0].failures, [""; 0]);
    }
}
