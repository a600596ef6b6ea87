//! The JSON Schemas of every file that people write, made of the keys by which Wayleave reads them.

use super::cases;
use crate::diagnostic::schema::FileKind;
use crate::{config, identity, policy};

/// Each schema's file name and text.
pub fn schemas() -> Vec<(String, String)> {
    kinds().into_iter().map(|kind| (kind.schema_file(), kind.schema())).collect()
}

fn kinds() -> Vec<FileKind> {
    let mut kinds = policy::files::FILE_KINDS.to_vec();
    kinds.extend([cases::FILE_KIND, config::FILE_KIND, identity::USERS_FILE]);
    kinds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::config::Config;
    use crate::diagnostic::document::Key;
    use crate::diagnostic::schema::Shape;
    use crate::diagnostic::schema::check::{breach, of_toml};
    use crate::policy::files::PolicySet;
    use crate::stewardship::CaseFile;

    fn schema(name: &str) -> Value {
        let kind = kinds().into_iter().find(|kind| kind.name == name).unwrap();
        serde_json::from_str(&kind.schema()).unwrap()
    }

    #[test]
    fn the_committed_schemas_are_what_the_code_gives() {
        for (name, text) in schemas() {
            let committed = std::fs::read_to_string(Path::new("policies").join(&name)).unwrap_or_default();
            assert!(
                committed == text,
                "policies/{name} is not what the code gives: run `wayleave policy schema policies`"
            );
        }
    }

    fn assert_told(path: &str, keys: &[Key]) {
        for key in keys {
            let path = format!("{path}.{}", key.name);
            assert!(key.description.ends_with('.'), "{path} has no description");
            let example: toml::Table = key.example.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(example.keys().any(|name| name == key.name) || key.name == "tables", "{path}: {}", key.example);
            assert_shape(&path, &key.shape);
        }
    }

    fn assert_shape(path: &str, shape: &Shape) {
        match shape {
            Shape::Section(keys, _) | Shape::Sections { keys, .. } => assert_told(path, keys),
            Shape::Names(inner) | Shape::List(inner) => assert_shape(path, inner),
            Shape::Either(shapes) => shapes.iter().for_each(|inner| assert_shape(path, inner)),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_a_description_and_an_example_that_fits_its_shape() {
        for kind in kinds() {
            assert_told(kind.name, kind.keys);
            let schema: Value = serde_json::from_str(&kind.schema()).unwrap();
            let mut examples = 0;
            assert_examples(&schema, &mut examples);
            assert!(examples > 0, "{}", kind.name);
        }
    }

    fn assert_examples(schema: &Value, seen: &mut usize) {
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert_eq!(breach(schema, example), None, "{example} in {schema}");
            *seen += 1;
        }
        match schema {
            Value::Object(members) => members.values().for_each(|inner| assert_examples(inner, seen)),
            Value::Array(items) => items.iter().for_each(|inner| assert_examples(inner, seen)),
            _ => {}
        }
    }

    /// The schema's name and the files that it is for.
    fn files() -> Vec<(&'static str, PathBuf)> {
        let mut files = vec![("wayleave", PathBuf::from("src/demo/wayleave.toml"))];
        for directory in ["policies", "tests/seed/policies"] {
            for entry in std::fs::read_dir(Path::new(directory).join("agreements")).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if name.ends_with(".toml") {
                    files.push((if name.ends_with(".case.toml") { "case" } else { "agreement" }, path.clone()));
                }
            }
            for name in ["registers", "purposes"] {
                files.push((name, Path::new(directory).join(format!("{name}.toml"))));
            }
        }
        files
    }

    #[test]
    fn the_files_that_are_read_keep_their_schemas() {
        let files = files();
        assert!(files.len() > 20);
        for (name, path) in files {
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(breach(&schema(name), &of_toml(&text)), None, "{}", path.display());
        }
    }

    fn read(name: &str, path: &Path, text: &str) -> bool {
        match name {
            "case" => CaseFile::parse(path, text).is_ok(),
            "wayleave" => Config::parse(text, path).is_ok(),
            _ => {
                let mut files = PolicySet::read_files(Path::new("policies")).unwrap();
                // Not the other agreements, which take their time.
                files.retain(|name, _| name.parent() == Some(Path::new("")));
                files.insert(path.strip_prefix("policies").unwrap().to_owned(), text.to_owned());
                PolicySet::parse(Path::new("policies"), &files).is_ok()
            }
        }
    }

    /// Each line of the example files is taken out, its key misspelt, its value replaced by others: whatever an editor
    /// underlines, the readers refuse.
    #[test]
    fn what_a_schema_refuses_is_refused_when_read() {
        let mut refused = 0;
        for (name, path) in
            files().into_iter().filter(|(name, path)| *name != "wayleave" && path.starts_with("policies"))
        {
            let schema = schema(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let mut keys = BTreeSet::new();
            for at in 0..lines.len() {
                // One line a key is as good as all of them.
                if !keys.insert(lines[at].split('=').next()) {
                    continue;
                }
                let mut edits = vec![String::new(), format!("{}x", lines[at])];
                if let Some((key, _)) = lines[at].split_once(" = ") {
                    edits.push(format!("{key}z = 1"));
                    for value in ["7", "-1", "true", "\"\"", "\"x\"", "[]", "[\"x\", \"x\"]", "{ x = 1 }", "1999-01-01"]
                    {
                        edits.push(format!("{key} = {value}"));
                    }
                }
                for edit in edits {
                    let mut edited = lines.clone();
                    edited[at] = &edit;
                    let edited = edited.join("\n");
                    if edited.parse::<toml::Table>().is_err() {
                        continue;
                    }
                    if let Some(breach) = breach(&schema, &of_toml(&edited)) {
                        refused += 1;
                        assert!(!read(name, &path, &edited), "{} line {}: {edit}: {breach}", path.display(), at + 1);
                    }
                }
            }
        }
        assert!(refused > 200, "{refused}");
    }
}
