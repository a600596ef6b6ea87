//! [`KeyFormat::canonical`] as SQLite's SQL. The two are held against each other by a test.

use wayleave_connector_api::{Form, KeyFormat, Scheme};

/// The canonical key in `sql`, NULL where it is none. For any value of any storage class.
pub(super) fn canonical(sql: &str, format: KeyFormat) -> String {
    match (format.scheme, format.assured) {
        (Scheme::Opaque, true) => sql.to_owned(),
        (Scheme::Opaque, false) => format!("nullif({sql} COLLATE BINARY, '')"),
        (Scheme::NhsNumber, true) => match format.form {
            Form::Compact => sql.to_owned(),
            Form::Spaced => format!("replace({sql}, ' ', '')"),
            Form::Hyphenated => format!("replace({sql}, '-', '')"),
            Form::Mixed => format!("replace(replace({sql}, ' ', ''), '-', '')"),
        },
        (Scheme::NhsNumber, false) => {
            let branches: String = format
                .form
                .single_forms()
                .iter()
                .filter_map(|form| form.separator())
                .map(|separator| checked(sql, separator))
                .collect();
            format!("(CASE{branches} END)")
        }
    }
}

/// One branch: the digits, where they stand in groups of 3, 3 and 4 around the separator and the check digit holds.
fn checked(sql: &str, separator: &str) -> String {
    let gap = separator.len();
    let digits = |count: usize| "[0-9]".repeat(count);
    let shape = [digits(3), digits(3), digits(4)].join(separator);
    // GLOB ends a text at its first NUL: only the length in bytes tells that nothing follows.
    let length = 10 + 2 * gap;
    let weighted: Vec<String> = (0..10_usize)
        .map(|index| {
            let before = gap * (usize::from(index >= 3) + usize::from(index >= 6));
            format!("substr({sql}, {}, 1) * {}", index + 1 + before, 10 - index)
        })
        .collect();
    let key = if separator.is_empty() {
        format!("substr({sql}, 1, 10)")
    } else {
        format!("replace({sql}, '{separator}', '')")
    };
    format!(
        " WHEN octet_length({sql}) = {length} AND typeof({sql}) <> 'blob' AND {sql} GLOB '{shape}' AND ({}) % 11 = 0 \
         THEN {key}",
        weighted.join(" + ")
    )
}
