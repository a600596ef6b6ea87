//! `[view.…]`: a view over several agencies, a row a person.

use std::collections::BTreeMap;

use wayleave_connector_api::Scheme;

use super::{AgencyConfig, ViewConfig};
use crate::diagnostic::document::{Entry, Key, Table};
use crate::diagnostic::schema::{Shape, words};
use crate::diagnostic::{Diagnostic, Located, nearest, quoted};
use crate::names::{QualifiedColumn, QualifiedTable};

pub(super) const VIEW_KEYS: &[Key] = &[
    Key::new("key", "key = \"nhs_number\"").says("The view's column of the subject key.").required(),
    Key::new("scheme", "scheme = \"nhs-number\"")
        .says("The numbering scheme of the key.")
        .of(Shape::OneOf(|| words(&Scheme::NAMES)))
        .required(),
    Key::new("sources", "sources = [\"health.public.patients\", \"social.public.clients\"]")
        .says("Tables with a subject of that scheme: agency.schema.table.")
        .of(Shape::Texts { least: 1 })
        .required(),
    Key::new("columns", "columns.name = [\"health.public.patients.name\"]")
        .says("The view's other columns, each with the columns that may give it, the one to prefer first.")
        .of(Shape::Names(&Shape::Texts { least: 1 })),
];

pub(super) fn read_views(
    entry: &Entry<'_>,
    agencies: &BTreeMap<String, AgencyConfig>,
) -> Option<BTreeMap<String, ViewConfig>> {
    let entries = entry.open_table()?.entries();
    let views: Vec<Option<ViewConfig>> = entries.iter().map(|entry| read_view(entry, agencies)).collect();
    views.into_iter().map(|view| view.map(|view| (view.name.clone(), view))).collect()
}

fn read_view(entry: &Entry<'_>, agencies: &BTreeMap<String, AgencyConfig>) -> Option<ViewConfig> {
    let table = entry.table(VIEW_KEYS)?;
    let name = read_name(entry);
    let key = table.required("key").and_then(|entry| entry.text());
    let scheme = table.required("scheme").and_then(|entry| entry.one_of(&Scheme::NAMES));
    let sources = match (table.required("sources").and_then(|entry| entry.some_texts()), &scheme) {
        (Some(written), Some(scheme)) => {
            let sources: Vec<Option<QualifiedTable>> =
                written.iter().map(|source| read_source(&table, source, scheme.value, agencies)).collect();
            sources.into_iter().collect::<Option<Vec<QualifiedTable>>>()
        }
        _ => None,
    };
    let columns = match table.optional("columns") {
        Some(entry) => {
            let columns: Vec<Option<(String, Vec<QualifiedColumn>)>> = entry
                .open_table()?
                .entries()
                .iter()
                .map(|entry| read_column(&table, entry, key.as_ref(), sources.as_deref()))
                .collect();
            columns.into_iter().collect()
        }
        None => Some(Vec::new()),
    };
    Some(ViewConfig { name: name?, key: key?.value, scheme: scheme?.value, sources: sources?, columns: columns? })
}

fn read_name(entry: &Entry<'_>) -> Option<String> {
    let name = entry.key();
    let holds = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_');
    if !holds {
        entry.document().report(
            Diagnostic::at(&entry.key_place(), format!("{} cannot name a view", quoted(name)))
                .with_hint("a view's name has a to z, 0 to 9 and `_`, and starts with a letter"),
        );
    }
    holds.then(|| name.to_owned())
}

fn read_source(
    view: &Table<'_>,
    written: &Located<String>,
    scheme: Scheme,
    agencies: &BTreeMap<String, AgencyConfig>,
) -> Option<QualifiedTable> {
    let refuse = |message: String, hint: String| {
        view.document().report(Diagnostic::at(&written.place, message).with_hint(hint));
        None
    };
    let source = match QualifiedTable::parse(&written.value) {
        Ok(source) => source,
        Err(fault) => return refuse(fault.to_string(), "write `\"agency.schema.table\"`".to_owned()),
    };
    let Some(agency) = agencies.get(&source.agency) else {
        let hint = match nearest(&source.agency, agencies.keys().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("write a section `[agency.{}]`", source.agency),
        };
        return refuse(format!("there is no agency `{}`", source.agency), hint);
    };
    let subject = agency.tables.get(&source.table_name()).and_then(|table| table.subject.as_ref());
    let table_name = format!("{}.{}", source.schema, source.table);
    match subject {
        Some(subject) if subject.format.scheme == scheme => Some(source),
        Some(subject) => refuse(
            format!("the subject of `{source}` is of the scheme `{}`", subject.format.scheme.name()),
            format!("a view joins subjects of one scheme, and this one is of `{}`", scheme.name()),
        ),
        None => refuse(
            format!("`{source}` has no declared subject"),
            format!("write `subject = {{ … }}` under `[agency.{}.tables.\"{table_name}\"]`", source.agency),
        ),
    }
}

fn read_column(
    view: &Table<'_>,
    entry: &Entry<'_>,
    key: Option<&Located<String>>,
    sources: Option<&[QualifiedTable]>,
) -> Option<(String, Vec<QualifiedColumn>)> {
    let name = entry.key();
    if key.is_some_and(|key| key.value == name) {
        view.document().report(
            Diagnostic::at(&entry.key_place(), format!("`{name}` is the view's key already"))
                .with_hint("the key comes from the sources' subjects: take the column out"),
        );
        return None;
    }
    let read = entry.some_texts()?.iter().map(|written| read_origin(view, written, sources)).collect::<Vec<_>>();
    let columns: Option<Vec<QualifiedColumn>> = read.into_iter().collect();
    Some((name.to_owned(), columns?))
}

fn read_origin(
    view: &Table<'_>,
    written: &Located<String>,
    sources: Option<&[QualifiedTable]>,
) -> Option<QualifiedColumn> {
    let refuse = |message: String, hint: &str| {
        view.document().report(Diagnostic::at(&written.place, message).with_hint(hint));
        None
    };
    match QualifiedColumn::parse(&written.value) {
        Ok(column) if sources.is_some_and(|sources| !sources.contains(&column.table)) => {
            refuse(format!("`{}` is no source of `{}`", column.table, view.name()), "add it to `sources`")
        }
        Ok(column) => Some(column),
        Err(fault) => refuse(fault.to_string(), "write `\"agency.schema.table.column\"`"),
    }
}
