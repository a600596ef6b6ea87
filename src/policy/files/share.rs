//! Reading what an agreement shares: tables, columns, masks, rows, and to whom keys go.

use std::collections::BTreeMap;

use wayleave_connector_api::KeyDisclosure;

use super::agreement::{MaskRule, Share};
use super::read::{MOST, TABLE_NAME, read_column_name, read_table_name};
use crate::diagnostic::document::{Entry, Key, Table};
use crate::diagnostic::schema::{Rule, Shape, words};
use crate::diagnostic::{Diagnostic, Located, Place, quoted};

pub(super) const SHARE_KEYS: &[Key] = &[
    Key::new("table", "table = \"health.public.patients\"")
        .says("agency.schema.table; a part that holds a dot in double quotes.")
        .of(TABLE_NAME)
        .required(),
    Key::new("columns", "columns = [\"nhs_number\", \"name\"]")
        .says("The columns that are released. Nothing else of the table is.")
        .of(Shape::SomeNames { never: "*" })
        .required(),
    Key::new("mask", "mask.postcode = \"outward\"")
        .says(
            "What takes the place of a released column's values. null: nothing. outward: the first half of a postcode. \
             year: the year of a date. pseudonym: a keyed one-way form, joinable inside one purpose. With `when`, only the \
             rows for which that is true or unknown are masked.",
        )
        .of(Shape::Names(&Shape::Either(&[
            Shape::OneOf(|| words(&MASKS)),
            Shape::Section(MASK_KEYS, &[Rule::One(&["last", "constant", "as"])]),
        ]))),
    Key::new("rows", "rows = \"deceased = false\"").says(
        "A predicate in SQL over the table's own columns, released or not. Only rows for which it is true are shared.",
    ),
    Key::new("class", "class = \"mental-health\"")
        .says("The class of data that the table holds, in the words of registers that decide class by class."),
    Key::new("dated_by", "dated_by = \"happened_on\"").says(
        "The column with each row's own date, released or not, for registers that decide by the dates of records. A row \
         without a date is released by no such permission.",
    ),
    Key::new("dissent_as", "dissent_as = \"dissented\"").says(
        "The name of a column of true and false that is added: whether the person has refused in one of the registers of \
         `record_dissent`, which the table's own agency must keep.",
    ),
    Key::new("disclose_keys_to", "disclose_keys_to = [\"social\"] # or { social = \"pseudonymised\" }")
        .says(
            "Agencies that may be sent this table's subject keys to narrow a join: it tells them who is in it. A table \
             says of each agency as what they go: plain, or pseudonymised under a secret of that one join.",
        )
        .of(Shape::Either(&[
            Shape::Texts { least: 0 },
            Shape::Names(&Shape::OneOf(|| words(&DISCLOSURES))),
        ])),
    Key::new("join_at_source_with", "join_at_source_with = [\"social\"]")
        .says(
            "Agencies whose tables may be joined with this one's rows inside one server, where both are kept in the same \
             and the other's share names this agency too.",
        )
        .of(Shape::Texts { least: 0 }),
];
pub(super) const MASK_KEYS: &[Key] = &[
    Key::new("last", "last = 3")
        .says("*** and this many characters of the end.")
        .of(Shape::Number { least: 1, most: Some(MOST) }),
    Key::new("constant", "constant = \"withheld\"").says("This text in every row.").of(Shape::AnyText),
    Key::new("as", "as = \"null\"").says("A mask of one word.").of(Shape::OneOf(|| words(&MASKS))),
    Key::new("when", "when = \"sensitive = true\"").says(
        "A predicate in SQL over the table's own columns, released or not: a row is masked unless it is false for it.",
    ),
];

const DISCLOSURES: [(&str, KeyDisclosure); 2] =
    [("plain", KeyDisclosure::Plain), ("pseudonymised", KeyDisclosure::Pseudonymised)];
/// The masks that are one word.
const MASKS: [(&str, MaskRule); 4] = [
    ("null", MaskRule::Null),
    ("outward", MaskRule::OutwardPostcode),
    ("year", MaskRule::YearOfDate),
    ("pseudonym", MaskRule::Pseudonym),
];

const MASK_HINT: &str = "write \"null\", \"outward\", \"year\", \"pseudonym\", { last = 3 }, { constant = \"withheld\" } or \
     { as = \"null\", when = \"sensitive\" }";

/// A share, and the places that other files are needed to check.
pub(super) struct ReadShare {
    pub share: Share,
    pub table: Place,
    pub agencies: Vec<Located<String>>,
}

pub(super) fn read_shares(entry: &Entry<'_>) -> Option<Vec<ReadShare>> {
    let mut shares: Vec<ReadShare> = Vec::new();
    let mut complete = true;
    for table in entry.tables(SHARE_KEYS)? {
        let Some(share) = read_share(&table) else {
            complete = false;
            continue;
        };
        if shares.iter().any(|earlier| earlier.share.table == share.share.table) {
            table.document().report(
                Diagnostic::at(&share.table, format!("`{}` is shared twice", share.share.table))
                    .with_hint("write one `[[share]]` a table: each released row answers to one share"),
            );
            complete = false;
        }
        shares.push(share);
    }
    complete.then_some(shares)
}

fn read_share(table: &Table<'_>) -> Option<ReadShare> {
    let name = table.required("table").and_then(|entry| read_table_name(&entry));
    let columns = table.required("columns").and_then(|entry| read_columns(&entry));
    let masks = match table.optional("mask") {
        Some(entry) => read_masks(&entry, columns.as_deref()),
        None => Some(BTreeMap::new()),
    };
    let rows = match table.optional("rows") {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let class = match table.optional("class") {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let dated_by = match table.optional("dated_by") {
        Some(entry) => read_column_name(&entry).map(Some),
        None => Some(None),
    };
    let dissent_as = match table.optional("dissent_as") {
        Some(entry) => read_added_column(&entry, columns.as_deref()).map(Some),
        None => Some(None),
    };
    let disclosed = match table.optional("disclose_keys_to") {
        Some(entry) => read_disclosed(&entry),
        None => Some(Vec::new()),
    };
    let joined = match table.optional("join_at_source_with") {
        Some(entry) => entry.texts(),
        None => Some(Vec::new()),
    };
    let (name, disclosed, joined) = (name?, disclosed?, joined?);
    let own = Located { value: name.value.agency.clone(), place: name.place.clone() };
    let share = Share {
        table: name.value,
        columns: columns?,
        masks: masks?,
        rows: rows?,
        class: class?,
        dated_by: dated_by?,
        dissent_as: dissent_as?,
        disclose_keys_to: disclosed.iter().map(|(agency, form)| (agency.value.clone(), *form)).collect(),
        join_at_source_with: joined.iter().map(|agency| agency.value.clone()).collect(),
        line: table.place().line,
    };
    let agencies = std::iter::once(own).chain(disclosed.into_iter().map(|(agency, _)| agency)).chain(joined).collect();
    Some(ReadShare { share, table: name.place, agencies })
}

fn read_added_column(entry: &Entry<'_>, columns: Option<&[String]>) -> Option<String> {
    let name = read_column_name(entry)?;
    if columns.is_some_and(|columns| columns.contains(&name)) {
        entry.report(format!("{} is in `columns` already", quoted(&name)), "write a name that no released column has");
        return None;
    }
    Some(name)
}

/// A list of agencies, each of which may be sent keys as they are, or a table that says of each as what.
fn read_disclosed(entry: &Entry<'_>) -> Option<Vec<(Located<String>, KeyDisclosure)>> {
    if !entry.is_table() {
        let agencies = entry.texts()?;
        return Some(agencies.into_iter().map(|agency| (agency, KeyDisclosure::Plain)).collect());
    }
    let mut disclosed = Vec::new();
    let mut complete = true;
    for entry in entry.open_table()?.entries() {
        let agency = Located { value: entry.key().to_owned(), place: entry.key_place() };
        let form = if entry.is_text() {
            entry.one_of(&DISCLOSURES)
        } else {
            let hint = format!("write `{0} = \"pseudonymised\"` or `{0} = \"plain\"`", entry.key());
            entry.report(format!("`{}` must say as what keys are sent", entry.name()), hint);
            None
        };
        match form {
            Some(form) => disclosed.push((agency, form.value)),
            None => complete = false,
        }
    }
    complete.then_some(disclosed)
}

fn read_columns(entry: &Entry<'_>) -> Option<Vec<String>> {
    let columns = entry.some_texts()?;
    if let Some(star) = columns.iter().find(|column| column.value == "*") {
        entry.document().report(
            Diagnostic::at(&star.place, "`*` would share columns that nobody has agreed to, now or later")
                .with_hint("name each column that may be released"),
        );
        return None;
    }
    Some(columns.into_iter().map(|column| column.value).collect())
}

fn read_masks(entry: &Entry<'_>, columns: Option<&[String]>) -> Option<BTreeMap<String, MaskRule>> {
    let mut masks = BTreeMap::new();
    let mut complete = true;
    for entry in entry.open_table()?.entries() {
        let column = entry.key();
        if columns.is_some_and(|columns| !columns.iter().any(|known| known == column)) {
            entry.document().report(
                Diagnostic::at(&entry.key_place(), format!("{} is masked but not in `columns`", quoted(column)))
                    .with_hint("add it to `columns`, or take the mask out: what is not named is not released"),
            );
            complete = false;
        }
        match read_mask(&entry) {
            Some(mask) => {
                masks.insert(column.to_owned(), mask);
            }
            None => complete = false,
        }
    }
    complete.then_some(masks)
}

fn read_mask(entry: &Entry<'_>) -> Option<MaskRule> {
    if entry.is_text() {
        let text = entry.any_text()?;
        let mask = MASKS.into_iter().find(|(word, _)| *word == text.value).map(|(_, mask)| mask);
        if mask.is_none() {
            entry.report(format!("{} is no mask", quoted(&text.value)), MASK_HINT);
        }
        return mask;
    }
    if !entry.is_table() {
        entry.report(format!("`{}` is no mask", entry.name()), MASK_HINT);
        return None;
    }
    let table = entry.table(MASK_KEYS)?;
    let when = match table.optional("when") {
        Some(when) => Some(when.text()?.value),
        None => None,
    };
    let mask = match (table.optional("last"), table.optional("constant"), table.optional("as")) {
        (Some(last), None, None) => {
            let count = last.integer(1..=MOST)?.value;
            MaskRule::LastCharacters(u32::try_from(count).ok()?)
        }
        (None, Some(constant), None) => MaskRule::Constant(constant.any_text()?.value),
        (None, None, Some(word)) => {
            let place = word.place();
            let mask = MASKS
                .iter()
                .find(|(known, _)| word.is_text() && word.any_text().is_some_and(|text| text.value == *known));
            let Some((_, mask)) = mask else {
                word.report("that is no mask of one word", MASK_HINT);
                return None;
            };
            if when.is_some() && matches!(mask, MaskRule::YearOfDate | MaskRule::Pseudonym) {
                let found = Diagnostic::at(&place, "a masked row must hold the same kind of value as the others");
                word.document().report(found.with_hint("write `as = \"null\"`, or mask every row: take `when` out"));
                return None;
            }
            mask.clone()
        }
        _ => {
            entry.report(format!("`{}` must say one of `last`, `constant` and `as`", entry.name()), MASK_HINT);
            return None;
        }
    };
    Some(match when {
        Some(when) => MaskRule::When { when, mask: Box::new(mask) },
        None => mask,
    })
}
