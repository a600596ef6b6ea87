//! How configuration and registers say which column holds subject keys, and how it writes them.

use wayleave_connector_api::{Form, KeyFormat, Scheme};

use crate::diagnostic::Located;
use crate::diagnostic::document::{Entry, Key};
use crate::diagnostic::schema::{Rule, Shape, Then, Value, words};

pub(crate) const SUBJECT_KEYS: &[Key] = &[
    Key::new("column", "column = \"nhs_number\"").says("The column's name.").required(),
    Key::new("scheme", "scheme = \"nhs-number\"")
        .says("The numbering scheme.")
        .of(Shape::OneOf(|| words(&Scheme::NAMES)))
        .required(),
    Key::new("form", "form = \"spaced\"")
        .says(
            "How the numbers are written: 9434765919, 943 476 5919, 943-476-5919, or any of them row by row. Compact \
             unless said.",
        )
        .of(Shape::OneOf(|| words(&Form::NAMES))),
    Key::new("assured", "assured = false")
        .says("The agency vouches that every value is valid and in the form. It does not unless said.")
        .of(Shape::Flag),
];
pub(crate) const SUBJECT_RULES: &[Rule] =
    &[Rule::Where("scheme", &[Value::Word("opaque")], Then::Says("form", Value::Word("compact")))];

/// Reads `{ column = …, scheme = …, form = …, assured = … }`; the form is compact and nothing is assured unless said.
pub(crate) fn read_subject(entry: &Entry<'_>) -> Option<(String, KeyFormat)> {
    let table = entry.table(SUBJECT_KEYS)?;
    let column = table.required("column").and_then(|entry| entry.text());
    let scheme = table.required("scheme").and_then(|entry| entry.one_of(&Scheme::NAMES));
    let form = match table.optional("form") {
        Some(entry) => {
            let form = entry.one_of(&Form::NAMES)?;
            if scheme.as_ref().is_some_and(|scheme| scheme.value == Scheme::Opaque) && form.value != Form::Compact {
                entry.report(
                    "an `opaque` key has no written forms: it is compared as it is",
                    "leave `form` out, or name the scheme",
                );
                return None;
            }
            form.value
        }
        None => Form::Compact,
    };
    let assured = match table.optional("assured") {
        Some(entry) => entry.boolean()?.value,
        None => false,
    };
    let Located { value: scheme, .. } = scheme?;
    Some((column?.value, KeyFormat { scheme, form, assured }))
}
