//! Arrays as PostgreSQL writes them: `{a,"b c",NULL}`, and `1 2` for its vectors.
//!
//! Source: PostgreSQL documentation, chapter "Arrays", "Array Input and Output Syntax".

/// An element as text, quoted where it must be.
pub(super) fn array_element(text: &str) -> String {
    let is_plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_whitespace());
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// The elements of an array of one dimension, `None` for NULL; nothing where it is none.
pub(super) fn elements(written: &str) -> Option<Vec<Option<String>>> {
    let trimmed = written.trim();
    let Some(inside) = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        let is_vector = trimmed.chars().all(|c| c.is_ascii_digit() || c == '-' || c == ' ');
        return is_vector.then(|| trimmed.split_whitespace().map(|item| Some(item.to_owned())).collect());
    };
    let mut items: Vec<(String, bool)> = Vec::new();
    let mut item = (String::new(), false);
    let (mut is_quoted, mut characters) = (false, inside.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                item.1 = true;
            }
            '\\' => item.0.extend(characters.next()),
            ',' if !is_quoted => items.push(std::mem::take(&mut item)),
            '{' | '}' if !is_quoted => return None,
            blank if blank.is_whitespace() && !is_quoted && (item.1 || item.0.is_empty()) => {}
            other => item.0.push(other),
        }
    }
    if is_quoted {
        return None;
    }
    if !inside.trim().is_empty() {
        items.push(item);
    }
    let items = items.into_iter().map(|(text, was_quoted)| match text.trim_end() {
        null if !was_quoted && null.eq_ignore_ascii_case("null") => None,
        plain if !was_quoted => Some(plain.to_owned()),
        _ => Some(text),
    });
    Some(items.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_as_postgresql_writes_them() {
        let read = |text: &str| elements(text).unwrap().into_iter().map(|item| item.unwrap_or("∅".to_owned()));
        let joined = |text: &str| read(text).collect::<Vec<_>>().join("|");
        assert_eq!(joined("{r,v}"), "r|v");
        assert_eq!(joined(r#"{ a b , "b, \"c\"" ,NULL,"NULL",""}"#), r#"a b|b, "c"|∅|NULL|"#);
        assert_eq!(joined("{1,-2}"), "1|-2");
        assert_eq!(joined("1 2"), "1|2");
        assert_eq!(elements("{}").unwrap(), []);
        for wrong in ["{", "{\"a}", "{{1}}", "x"] {
            assert_eq!(elements(wrong), None, "{wrong}");
        }
        for text in ["plain", "two words", "", "null", "a\"b\\c", "{", "é"] {
            let written = format!("{{{}}}", array_element(text));
            assert_eq!(elements(&written).unwrap(), [Some(text.to_owned())], "{written}");
        }
    }
}
