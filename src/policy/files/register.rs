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
    Key::new("from", "from = \"valid_from\"").says("The column of the moment from which a row counts."),
    Key::new("until", "until = \"valid_to\"").says("The column of the moment until which a row counts."),
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
    /// There where the kind is [`RegisterKind::Decisions`], and only there.
    pub decision: Option<DecisionColumn>,
    /// Columns with the first and the last moment of a row's force.
    pub from: Option<String>,
    pub until: Option<String>,
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
    let table = table?;
    let (column, format) = subject?;
    let register = Register {
        name: entry.key().to_owned(),
        table: table.value.clone(),
        kind,
        subject: SubjectColumn { column, format },
        purpose: purpose?,
        recipient: recipient?,
        decision: decision?,
        from: from?,
        until: until?,
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
