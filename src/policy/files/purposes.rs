//! `purposes.toml`: the purposes for which agreements share, and their names in two vocabularies.

use crate::diagnostic::document::{Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Shape};

pub(super) const PURPOSES_FILE: FileKind = FileKind {
    name: "purposes",
    title: "Purposes",
    description: "The purposes for which agreements share and sessions ask.",
    keys: ROOT_KEYS,
    rules: &[],
};
pub(super) const ROOT_KEYS: &[Key] =
    &[Key::new("purpose", "[purpose.joint-needs-assessment]\ntitle = \"Joint assessment of needs\"")
        .says("The purposes by code.")
        .of(Shape::Names(&Shape::Section(PURPOSE_KEYS, &[])))
        .required()];
pub(super) const PURPOSE_KEYS: &[Key] = &[
    Key::new("title", "title = \"Joint assessment of needs\"").says("The purpose in words.").required(),
    Key::new("dpv", "dpv = \"dpv:ServiceProvision\"")
        .says("A purpose of the Data Privacy Vocabulary (https://w3id.org/dpv)."),
    Key::new("hl7", "hl7 = \"TREAT\"").says("A code of HL7's value set PurposeOfUse."),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    pub title: String,
    /// A purpose of the Data Privacy Vocabulary (W3C, <https://w3id.org/dpv>).
    pub dpv: Option<String>,
    /// A code of HL7's value set PurposeOfUse.
    pub hl7: Option<String>,
}

pub(super) fn read_purposes(root: &Table<'_>) -> Vec<Option<(String, Purpose)>> {
    let purposes = root.required("purpose").and_then(|entry| entry.open_table());
    purposes.iter().flat_map(Table::entries).map(|entry| read_purpose(&entry)).collect()
}

fn read_purpose(entry: &Entry<'_>) -> Option<(String, Purpose)> {
    let table = entry.table(PURPOSE_KEYS)?;
    let title = table.required("title").and_then(|entry| entry.text());
    let optional = |key: &str| match table.optional(key) {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let (dpv, hl7) = (optional("dpv"), optional("hl7"));
    Some((entry.key().to_owned(), Purpose { title: title?.value, dpv: dpv?, hl7: hl7? }))
}
