//! Subject keys as SQL Server's SQL: the rule of [`KeyFormat::canonical`], for any text at all without an error.

use wayleave_connector_api::{Form, KeyFormat, Scheme};

use super::text::{bare, by_units};

/// The canonical key in `sql`, NULL where it is none.
pub(super) fn canonical(sql: &str, format: KeyFormat) -> String {
    match (format.scheme, format.assured) {
        (Scheme::Opaque, true) => sql.to_owned(),
        // A text of blanks equals an empty one there.
        (Scheme::Opaque, false) => format!("(CASE WHEN DATALENGTH({}) > 0 THEN {sql} END)", bare(sql)),
        (Scheme::NhsNumber, true) => without_separators(sql, format.form),
        (Scheme::NhsNumber, false) => {
            let separators: Vec<&str> = format.form.single_forms().iter().filter_map(|form| form.separator()).collect();
            let shapes: Vec<String> = separators
                .iter()
                .map(|separator| {
                    let groups = [3, 3, 4].map(|count| "[0-9]".repeat(count)).join(separator);
                    format!("{sql} LIKE N'{groups}'")
                })
                .collect();
            let digits = without_separators(sql, format.form);
            // Where one separator is sure, the digits are weighed where they stand.
            let (weighed, gap) = match separators.as_slice() {
                [only] => (sql, only.len()),
                _ => (digits.as_str(), 0),
            };
            // Code units do as well as digits, since 48 times the sum of the weights is a multiple of 11; and ten times
            // the highest unit stays far inside an int, so that no text at all can make this fail.
            let weighted: Vec<String> = (1..=10)
                .map(|digit| {
                    let gaps = usize::from(digit > 3) + usize::from(digit > 6);
                    format!("UNICODE(SUBSTRING({weighed}, {}, 1)) * {}", digit + gaps * gap, 11 - digit)
                })
                .collect();
            format!("(CASE WHEN ({}) AND ({}) % 11 = 0 THEN {digits} END)", shapes.join(" OR "), weighted.join(" + "))
        }
    }
}

/// The canonical key in `sql` as a column of a single form writes it.
pub(super) fn written(sql: &str, format: KeyFormat) -> String {
    let separator = match (format.scheme, format.form) {
        (Scheme::Opaque, _) | (Scheme::NhsNumber, Form::Compact | Form::Mixed) => return sql.to_owned(),
        (Scheme::NhsNumber, Form::Spaced) => " ",
        (Scheme::NhsNumber, Form::Hyphenated) => "-",
    };
    by_units(&format!(
        "(SUBSTRING({sql}, 1, 3) + N'{separator}' + SUBSTRING({sql}, 4, 3) + N'{separator}' + SUBSTRING({sql}, 7, 4))"
    ))
}

fn without_separators(sql: &str, form: Form) -> String {
    let without = |sql: &str, separator: &str| by_units(&format!("REPLACE({sql}, N'{separator}', N'')"));
    match form {
        Form::Compact => sql.to_owned(),
        Form::Spaced => without(sql, " "),
        Form::Hyphenated => without(sql, "-"),
        Form::Mixed => without(&without(sql, " "), "-"),
    }
}
