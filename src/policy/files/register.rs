//! `registers.toml`: where consent is kept, and which columns mean what.

use std::collections::BTreeMap;

use wayleave_connector_api::KeyFormat;

use super::read::{TABLE_NAME, read_column_name, read_table_name};
use crate::config::subject::{SUBJECT_KEYS, SUBJECT_RULES, read_subject};
use crate::diagnostic::document::{Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Rule, Shape, Then, Value, words};
use crate::diagnostic::{Diagnostic, Located};
use crate::names::QualifiedTable;

pub(super) const REGISTERS_FILE: FileKind = FileKind {
    name: "registers",
    title: "Consent registers",
    description: "Where agencies keep what persons have decided, and which columns mean what. Registers are read live, in \
                  the query itself.",
    keys: ROOT_KEYS,
    rules: &[],
};
pub(super) const ROOT_KEYS: &[Key] =
    &[Key::new("register", "[register.shared-care]\ntable = \"health.public.consents\"")
        .says("The registers by name.")
        .of(Shape::Names(&Shape::Section(REGISTER_KEYS, REGISTER_RULES)))
        .required()];
pub(super) const REGISTER_KEYS: &[Key] = &[
    Key::new("table", "table = \"health.public.consents\"")
        .says("agency.schema.table; a part that holds a dot in double quotes.")
        .of(TABLE_NAME)
        .required(),
    Key::new("kind", "kind = \"decisions\"")
        .says("decisions: each row says what was decided. dissent: each row is a refusal. allow: each row is a permission.")
        .of(Shape::OneOf(|| words(&KINDS)))
        .required(),
    Key::new("subject", "subject = { column = \"nhs_number\", scheme = \"nhs-number\", form = \"spaced\" }")
        .says("The column that says whose decision it is.")
        .of(Shape::Section(SUBJECT_KEYS, SUBJECT_RULES))
        .required(),
    Key::new("purpose", "purpose = { column = \"purpose\" }")
        .says("The column of the purpose that a row counts for; without it, a row counts for every purpose.")
        .of(Shape::Section(CODED_KEYS, &[])),
    Key::new("recipient", "recipient = { column = \"recipient\" }")
        .says("The column of the organisation that a row counts for; without it, a row counts for every one.")
        .of(Shape::Section(CODED_KEYS, &[])),
    Key::new(
        "decision",
        "decision = { column = \"status\", permit = [\"granted\"], deny = [\"refused\", \"withdrawn\"] }",
    )
    .says("The column of what was decided; for the kind decisions, and only for it.")
    .of(Shape::Section(DECISION_KEYS, &[])),
    Key::new("class", "class = { column = \"data_class\" }")
        .says("The column of the class of data that a row counts for, as shares name theirs; without it, for every class.")
        .of(Shape::Section(CODED_KEYS, &[])),
    Key::new("from", "from = \"valid_from\"").says("The column of the moment from which a row counts."),
    Key::new("until", "until = \"valid_to\"").says("The column of the moment until which a row counts."),
    Key::new("records", "records = { from = \"records_from\", until = \"records_until\" }")
        .says("The columns of the first and the last date of the records that a row counts for; without it, for records of every date.")
        .of(Shape::Section(RECORDS_KEYS, &[])),
    Key::new("given_by", "given_by = { column = \"given_by\", self = [\"patient\"], attorney = [\"lpa\"] }")
        .says("The column of who decided. A permission counts if one of those named gave it, a refusal whoever gave it.")
        .of(Shape::Section(GIVEN_BY_KEYS, &[])),
    Key::new("child", "child = { born = \"date_of_birth\", decides_from = 16 }")
        .says("Until which age a parent decides: from then on, what a parent has decided counts no more.")
        .of(Shape::Section(CHILD_KEYS, &[])),
];
const REGISTER_RULES: &[Rule] = &[
    Rule::Where("kind", &[Value::Word("decisions")], Then::Needs(&["decision"])),
    Rule::Where("kind", &[Value::Word("dissent"), Value::Word("allow")], Then::Forbids(&["decision"])),
];
pub(super) const CODED_KEYS: &[Key] = &[
    Key::new("column", "column = \"purpose\"")
        .says("The column's name. The text * in it stands for every code.")
        .required(),
    Key::new("codes", "codes = { joint-needs-assessment = [\"direct_care\"] }")
        .says("Our code to the register's own; without it, the register writes our codes.")
        .of(Shape::Names(&Shape::SomeNames { never: WILDCARD })),
];
pub(super) const DECISION_KEYS: &[Key] = &[
    Key::new("column", "column = \"status\"").says("The column's name.").required(),
    Key::new("permit", "permit = [\"granted\"]")
        .says("The texts that permit.")
        .of(Shape::Texts { least: 0 })
        .required(),
    Key::new("deny", "deny = [\"refused\", \"withdrawn\"]")
        .says("The texts that deny.")
        .of(Shape::Texts { least: 1 })
        .required(),
];
const RECORDS_KEYS: &[Key] = &[
    Key::new("from", "from = \"records_from\"")
        .says("The column of the first date; an empty one is no permission.")
        .required(),
    Key::new("until", "until = \"records_until\"").says("The column of the last date; an empty one is open."),
];
const GIVEN_BY_KEYS: &[Key] = &[
    Key::new("column", "column = \"given_by\"").says("The column's name.").required(),
    Key::new("self", "self = [\"patient\"]")
        .says("What it holds where the person decided.")
        .of(Shape::Texts { least: 1 }),
    Key::new("parent", "parent = [\"mother\", \"father\"]")
        .says("What it holds where someone with parental responsibility decided; `child` must say until which age.")
        .of(Shape::Texts { least: 1 }),
    Key::new("attorney", "attorney = [\"lpa\", \"deputy\"]")
        .says("What it holds where an attorney or a deputy of the court decided.")
        .of(Shape::Texts { least: 1 }),
    Key::new("best_interests", "best_interests = [\"bi\"]")
        .says("What it holds where it was decided in the best interests of a person who could not.")
        .of(Shape::Texts { least: 1 }),
];
const CHILD_KEYS: &[Key] = &[
    Key::new("born", "born = \"date_of_birth\"").says("The register's column of the person's birth date.").required(),
    Key::new("decides_from", "decides_from = 16")
        .says("The age in years from which the person decides alone.")
        .of(Shape::Number { least: 1, most: Some(MOST_YEARS) })
        .required(),
];

/// No child is older.
const MOST_YEARS: u64 = 25;

const GIVERS: [(&str, Giver); 4] = [
    ("self", Giver::Person),
    ("parent", Giver::Parent),
    ("attorney", Giver::Attorney),
    ("best_interests", Giver::BestInterests),
];

const KINDS: [(&str, RegisterKind); 3] =
    [("decisions", RegisterKind::Decisions), ("dissent", RegisterKind::Dissent), ("allow", RegisterKind::Allow)];

/// The text in a purpose or recipient column that stands for every one.
const WILDCARD: &str = "*";

/// A table in which an agency keeps what persons have decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub name: String,
    pub table: QualifiedTable,
    pub kind: RegisterKind,
    pub subject: SubjectColumn,
    pub purpose: Option<CodedColumn>,
    pub recipient: Option<CodedColumn>,
    /// The class of data, as shares name theirs.
    pub class: Option<CodedColumn>,
    /// There where the kind is [`RegisterKind::Decisions`], and only there.
    pub decision: Option<DecisionColumn>,
    /// Columns with the first and the last moment of a row's force.
    pub from: Option<String>,
    pub until: Option<String>,
    pub records: Option<RecordDates>,
    pub given_by: Option<GivenBy>,
    /// There where parents are among those of `given_by`, and only there.
    pub child: Option<Child>,
}

impl Register {
    /// Every column that it names, the subject's first.
    pub fn columns(&self) -> impl Iterator<Item = &String> {
        let coded = [&self.purpose, &self.recipient, &self.class].into_iter().flatten().map(|coded| &coded.column);
        let dates = [&self.from, &self.until].into_iter().flatten();
        let records = self.records.iter().flat_map(|records| std::iter::once(&records.from).chain(&records.until));
        let decision = self.decision.iter().map(|decision| &decision.column);
        let given_by = self.given_by.iter().map(|given_by| &given_by.column);
        let born = self.child.iter().map(|child| &child.born);
        let others = coded.chain(dates).chain(records).chain(decision).chain(given_by).chain(born);
        std::iter::once(&self.subject.column).chain(others)
    }
}

/// Columns with the first and the last date of the records that a row counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordDates {
    pub from: String,
    pub until: Option<String>,
}

/// The column of who decided. No text stands for two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBy {
    pub column: String,
    /// Whose permissions count, with what the column holds for them; at least one.
    pub codes: BTreeMap<Giver, Vec<String>>,
}

/// Who may decide for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Giver {
    Person,
    Parent,
    /// An attorney under a lasting power, or a deputy of the court (Mental Capacity Act 2005, sections 9 and 16).
    Attorney,
    /// A decision for someone who lacks capacity (Mental Capacity Act 2005, section 4).
    BestInterests,
}

/// Until when a parent decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The register's column of the person's birth date.
    pub born: String,
    /// Years of age, 1 to 25.
    pub decides_from: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterKind {
    /// Each row says what was decided.
    Decisions,
    /// Each row is a refusal.
    Dissent,
    /// Each row is a permission.
    Allow,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectColumn {
    pub column: String,
    pub format: KeyFormat,
}

/// A column that holds purposes or recipients in the register's own codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedColumn {
    pub column: String,
    /// Our code to the register's; empty where the register writes ours.
    pub codes: BTreeMap<String, Vec<String>>,
}

/// The column of what was decided. No text is in both lists, and `deny` has one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionColumn {
    pub column: String,
    pub permit: Vec<String>,
    pub deny: Vec<String>,
}

/// A register, and what other files are needed to check of it.
pub(super) struct ReadRegister {
    pub register: Register,
    pub table: Located<QualifiedTable>,
    /// Our purposes for which it gives codes.
    pub purposes: Vec<Located<String>>,
}

pub(super) fn read_registers(root: &Table<'_>) -> Vec<Option<ReadRegister>> {
    let registers = root.required("register").and_then(|entry| entry.open_table());
    registers.iter().flat_map(Table::entries).map(|entry| read_register(&entry)).collect()
}

fn read_register(entry: &Entry<'_>) -> Option<ReadRegister> {
    let root = entry.table(REGISTER_KEYS)?;
    let table = root.required("table").and_then(|entry| read_table_name(&entry));
    let kind = root.required("kind").and_then(|entry| entry.one_of(&KINDS));
    let subject = root.required("subject").and_then(|entry| read_subject(&entry));
    let purpose_entry = root.optional("purpose");
    let purposes = purpose_entry.as_ref().map(places_of_codes).unwrap_or_default();
    let purpose = optional(purpose_entry, |entry| read_coded(&entry));
    let recipient = optional(root.optional("recipient"), |entry| read_coded(&entry));
    let class = optional(root.optional("class"), |entry| read_coded(&entry));
    let records = optional(root.optional("records"), |entry| read_records(&entry));
    let given_by = optional(root.optional("given_by"), |entry| read_given_by(&entry));
    let child = optional(root.optional("child"), |entry| read_child(&entry));
    let from = optional(root.optional("from"), |entry| read_column_name(&entry));
    let until = optional(root.optional("until"), |entry| read_column_name(&entry));
    let kind = kind?.value;
    let decision = match (kind, root.optional("decision")) {
        (RegisterKind::Decisions, _) => root.required("decision").and_then(|entry| read_decision(&entry)).map(Some),
        (RegisterKind::Dissent | RegisterKind::Allow, None) => Some(None),
        (RegisterKind::Dissent | RegisterKind::Allow, Some(entry)) => {
            root.document().report(
                Diagnostic::at(&entry.key_place(), "only a register of the kind `decisions` has a `decision`")
                    .with_hint("take `decision` out, or write `kind = \"decisions\"`"),
            );
            None
        }
    };
    let (given_by, child) = (given_by?, child?);
    check_parents(&root, given_by.as_ref(), child.as_ref())?;
    let table = table?;
    let (column, format) = subject?;
    let register = Register {
        name: entry.key().to_owned(),
        table: table.value.clone(),
        kind,
        subject: SubjectColumn { column, format },
        purpose: purpose?,
        recipient: recipient?,
        class: class?,
        decision: decision?,
        from: from?,
        until: until?,
        records: records?,
        given_by,
        child,
    };
    Some(ReadRegister { register, table, purposes })
}

/// `Some(None)` where there is no such entry, `None` where there is one and it is wrong.
fn optional<'d, T>(entry: Option<Entry<'d>>, read: impl Fn(Entry<'d>) -> Option<T>) -> Option<Option<T>> {
    match entry {
        Some(entry) => read(entry).map(Some),
        None => Some(None),
    }
}

fn read_coded(entry: &Entry<'_>) -> Option<CodedColumn> {
    let table = entry.table(CODED_KEYS)?;
    let column = table.required("column").and_then(|entry| read_column_name(&entry));
    let codes = match table.optional("codes") {
        Some(entry) => {
            let read: Vec<Option<(String, Vec<String>)>> =
                entry.open_table()?.entries().iter().map(read_codes).collect();
            read.into_iter().collect::<Option<BTreeMap<_, _>>>()?
        }
        None => BTreeMap::new(),
    };
    Some(CodedColumn { column: column?, codes })
}

fn read_codes(entry: &Entry<'_>) -> Option<(String, Vec<String>)> {
    let codes = entry.some_texts()?;
    if let Some(wildcard) = codes.iter().find(|code| code.value == WILDCARD) {
        entry.document().report(
            Diagnostic::at(&wildcard.place, "`*` stands for every code already")
                .with_hint("take it out: a row with `*` counts without being listed"),
        );
        return None;
    }
    Some((entry.key().to_owned(), codes.into_iter().map(|code| code.value).collect()))
}

fn places_of_codes(entry: &Entry<'_>) -> Vec<Located<String>> {
    entry
        .is_table()
        .then(|| entry.open_table())
        .flatten()
        .and_then(|table| table.optional("codes"))
        .filter(Entry::is_table)
        .and_then(|codes| codes.open_table())
        .map(|codes| {
            let located = |code: &Entry<'_>| Located { value: code.key().to_owned(), place: code.key_place() };
            codes.entries().iter().map(located).collect()
        })
        .unwrap_or_default()
}

fn read_records(entry: &Entry<'_>) -> Option<RecordDates> {
    let table = entry.table(RECORDS_KEYS)?;
    let from = table.required("from").and_then(|entry| read_column_name(&entry));
    let until = optional(table.optional("until"), |entry| read_column_name(&entry));
    Some(RecordDates { from: from?, until: until? })
}

fn read_given_by(entry: &Entry<'_>) -> Option<GivenBy> {
    let table = entry.table(GIVEN_BY_KEYS)?;
    let column = table.required("column").and_then(|entry| read_column_name(&entry));
    let mut codes: BTreeMap<Giver, Vec<String>> = BTreeMap::new();
    let mut complete = true;
    for (key, giver) in GIVERS {
        let Some(entry) = table.optional(key) else { continue };
        let Some(texts) = entry.some_texts() else {
            complete = false;
            continue;
        };
        if let Some(both) = texts.iter().find(|text| codes.values().flatten().any(|known| *known == text.value)) {
            entry.document().report(
                Diagnostic::at(&both.place, format!("`{}` stands for two who may decide", both.value))
                    .with_hint("give each text to one of them"),
            );
            complete = false;
        }
        codes.insert(giver, texts.into_iter().map(|text| text.value).collect());
    }
    if complete && codes.is_empty() {
        table.report("nobody's permission would count", "write whose does: `self = [\"…\"]`, as the column holds it");
        complete = false;
    }
    complete.then_some(())?;
    Some(GivenBy { column: column?, codes })
}

fn read_child(entry: &Entry<'_>) -> Option<Child> {
    let table = entry.table(CHILD_KEYS)?;
    let born = table.required("born").and_then(|entry| read_column_name(&entry));
    let years = table.required("decides_from").and_then(|entry| entry.integer(1..=MOST_YEARS));
    Some(Child { born: born?, decides_from: u32::try_from(years?.value).ok()? })
}

/// A parent decides until the child does: the one cannot be said without the other.
fn check_parents(root: &Table<'_>, given_by: Option<&GivenBy>, child: Option<&Child>) -> Option<()> {
    let has_parents = given_by.is_some_and(|given_by| given_by.codes.contains_key(&Giver::Parent));
    match (has_parents, child) {
        (true, Some(_)) | (false, None) => Some(()),
        (true, None) => {
            let hint = "write `child = { born = \"date_of_birth\", decides_from = 16 }`";
            root.report("`given_by` names parents, but not until which age they decide", hint);
            None
        }
        (false, Some(_)) => {
            let hint = "write `given_by = { column = \"…\", parent = [\"…\"] }`, or take `child` out";
            root.report("`child` has no meaning where `given_by` names no parents", hint);
            None
        }
    }
}

fn read_decision(entry: &Entry<'_>) -> Option<DecisionColumn> {
    let table = entry.table(DECISION_KEYS)?;
    let column = table.required("column").and_then(|entry| read_column_name(&entry));
    let permit = table.required("permit").and_then(|entry| entry.texts());
    let deny = table.required("deny").and_then(|entry| entry.some_texts());
    let (permit, deny) = (permit?, deny?);
    let both = deny.iter().find(|denied| permit.iter().any(|permitted| permitted.value == denied.value));
    if let Some(both) = both {
        entry.document().report(
            Diagnostic::at(&both.place, format!("`{}` is in `permit` and in `deny`", both.value))
                .with_hint("a decision is the one or the other"),
        );
        return None;
    }
    let values = |texts: Vec<Located<String>>| texts.into_iter().map(|text| text.value).collect();
    Some(DecisionColumn { column: column?, permit: values(permit), deny: values(deny) })
}
