//! JSON Schemas for editors, made of the very keys by which files are read, so that a key's name, example, description and
//! shape stand in one place.
//!
//! In: the [`Key`]s of a file's root. Out: a JSON Schema (draft 2020-12) as text, the same on every machine. It says what one
//! file alone can break; what holds between files is the readers' to say.

use std::fmt::Write as _;

use super::document::Key;

/// What a key's value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A text that is not blank.
    Text,
    /// Any text, also an empty one.
    AnyText,
    /// A text of this regular expression.
    Pattern(&'static str),
    Date,
    Flag,
    Number {
        least: u64,
        most: Option<u64>,
    },
    /// A text, a number, a date or a flag.
    Scalar,
    OneOf(fn() -> Vec<&'static str>),
    /// A list of texts, none twice.
    Texts {
        least: usize,
    },
    Section(&'static [Key], &'static [Rule]),
    Sections {
        least: usize,
        keys: &'static [Key],
        rules: &'static [Rule],
    },
    /// Names that the file's author chose, each with a value of this shape.
    Names(&'static Shape),
    List(&'static Shape),
    Either(&'static [Shape]),
    /// A list of texts, none twice, at least one, and none of them this one.
    SomeNames {
        never: &'static str,
    },
}

/// What holds between keys of one section.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Just one of these keys is there.
    One(&'static [&'static str]),
    /// Where a key has one of these values.
    Where(&'static str, &'static [Value], Then),
}

#[derive(Clone, Copy, Debug)]
pub enum Value {
    Word(&'static str),
    Flag(bool),
}

#[derive(Clone, Copy, Debug)]
pub enum Then {
    Needs(&'static [&'static str]),
    Forbids(&'static [&'static str]),
    /// A key, if it is there, has this value.
    Says(&'static str, Value),
}

/// The words of a list that readers look values up in.
pub fn words<T>(pairs: &[(&'static str, T)]) -> Vec<&'static str> {
    pairs.iter().map(|(word, _)| *word).collect()
}

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct FileKind {
    /// As in `agreement.schema.json`.
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub keys: &'static [Key],
    pub rules: &'static [Rule],
}

impl FileKind {
    pub fn schema_file(&self) -> String {
        format!("{}.schema.json", self.name)
    }

    /// The schema as it stands in its file.
    pub fn schema(&self) -> String {
        let mut members = vec![
            member("$schema", text("https://json-schema.org/draft/2020-12/schema")),
            member("$id", text(format!("https://wayleave.example/{}", self.schema_file()))),
            member("title", text(self.title)),
            member("description", text(self.description)),
        ];
        members.extend(section(self.keys, self.rules));
        let mut written = String::new();
        Node::Object(members).write(&mut written, 0);
        written.push('\n');
        written
    }
}

/// JSON with its members in the order in which they were put.
enum Node {
    /// A text, number or flag as JSON writes it.
    Leaf(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

fn member(name: &str, value: Node) -> (String, Node) {
    (name.to_owned(), value)
}

fn text(text: impl Into<String>) -> Node {
    Node::Leaf(serde_json::Value::from(text.into()).to_string())
}

fn number(number: impl Into<serde_json::Number>) -> Node {
    Node::Leaf(serde_json::Value::from(number.into()).to_string())
}

fn flag(flag: bool) -> Node {
    Node::Leaf(flag.to_string())
}

fn texts(list: &[&str]) -> Node {
    Node::List(list.iter().map(|word| text(*word)).collect())
}

/// The members of an object's schema.
fn section(keys: &[Key], rules: &[Rule]) -> Vec<(String, Node)> {
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut members = vec![member("type", text("object")), member("additionalProperties", flag(false))];
    if !required.is_empty() {
        members.push(member("required", texts(&required)));
    }
    members.push(member("properties", Node::Object(keys.iter().map(|key| member(key.name, property(key))).collect())));
    if !rules.is_empty() {
        members.push(member("allOf", Node::List(rules.iter().map(rule).collect())));
    }
    members
}

fn property(key: &Key) -> Node {
    let mut members = vec![member("description", text(key.description))];
    members.extend(shape(&key.shape));
    members.extend(example(key).map(|example| member("examples", Node::List(vec![example]))));
    Node::Object(members)
}

fn shape(of: &Shape) -> Vec<(String, Node)> {
    let kind = |name: &str| member("type", text(name));
    match of {
        Shape::Text => vec![kind("string"), member("pattern", text("\\S"))],
        Shape::AnyText => vec![kind("string")],
        Shape::Pattern(pattern) => vec![kind("string"), member("pattern", text(*pattern))],
        Shape::Date => vec![kind("string"), member("format", text("date"))],
        Shape::Flag => vec![kind("boolean")],
        Shape::Number { least, most } => {
            let mut members = vec![kind("integer"), member("minimum", number(*least))];
            members.extend(most.map(|most| member("maximum", number(most))));
            members
        }
        Shape::Scalar => vec![member("type", texts(&["string", "number", "boolean"]))],
        Shape::OneOf(words) => vec![member("enum", texts(&words()))],
        Shape::Texts { least } => list_of(shape(&Shape::Text), *least, true),
        Shape::SomeNames { never } => {
            let mut name = shape(&Shape::Text);
            name.push(member("not", Node::Object(vec![member("const", text(*never))])));
            list_of(name, 1, true)
        }
        Shape::List(inner) => list_of(shape(inner), 0, false),
        Shape::Section(keys, rules) => section(keys, rules),
        Shape::Sections { least, keys, rules } => list_of(section(keys, rules), *least, false),
        Shape::Names(inner) => vec![kind("object"), member("additionalProperties", Node::Object(shape(inner)))],
        Shape::Either(shapes) => {
            vec![member("anyOf", Node::List(shapes.iter().map(|one| Node::Object(shape(one))).collect()))]
        }
    }
}

fn list_of(inner: Vec<(String, Node)>, least: usize, unique: bool) -> Vec<(String, Node)> {
    let mut members = vec![member("type", text("array"))];
    if least > 0 {
        members.push(member("minItems", Node::Leaf(least.to_string())));
    }
    if unique {
        members.push(member("uniqueItems", flag(true)));
    }
    members.push(member("items", Node::Object(inner)));
    members
}

fn rule(rule: &Rule) -> Node {
    match rule {
        Rule::One(keys) => {
            let each = keys.iter().map(|key| Node::Object(vec![member("required", texts(&[*key]))])).collect();
            Node::Object(vec![member("oneOf", Node::List(each))])
        }
        Rule::Where(key, values, then) => {
            let is = Node::Object(vec![member("enum", Node::List(values.iter().map(value).collect()))]);
            let condition =
                vec![member("required", texts(&[*key])), member("properties", Node::Object(vec![member(key, is)]))];
            let then = match then {
                Then::Needs(keys) => member("required", texts(keys)),
                Then::Forbids(keys) => {
                    member("properties", Node::Object(keys.iter().map(|key| member(key, flag(false))).collect()))
                }
                Then::Says(key, said) => {
                    let said = Node::Object(vec![member("const", value(said))]);
                    member("properties", Node::Object(vec![member(key, said)]))
                }
            };
            Node::Object(vec![member("if", Node::Object(condition)), member("then", Node::Object(vec![then]))])
        }
    }
}

fn value(value: &Value) -> Node {
    match value {
        Value::Word(word) => text(*word),
        Value::Flag(said) => flag(*said),
    }
}

/// The example's value; a section's is left out, since its keys have their own.
fn example(key: &Key) -> Option<Node> {
    let table: toml::Table = key.example.parse().ok()?;
    match table.get(key.name)? {
        toml::Value::Table(_) if matches!(key.shape, Shape::Section(..) | Shape::Names(Shape::Section(..))) => None,
        toml::Value::Array(_) if matches!(key.shape, Shape::Sections { .. }) => None,
        value => Some(of_toml(value)),
    }
}

fn of_toml(value: &toml::Value) -> Node {
    match value {
        toml::Value::String(string) => text(string),
        toml::Value::Integer(integer) => number(*integer),
        toml::Value::Float(float) => Node::Leaf(float.to_string()),
        toml::Value::Boolean(boolean) => flag(*boolean),
        toml::Value::Datetime(moment) => text(moment.to_string()),
        toml::Value::Array(items) => Node::List(items.iter().map(of_toml).collect()),
        toml::Value::Table(table) => {
            let mut members: Vec<(String, Node)> =
                table.iter().map(|(name, value)| (name.clone(), of_toml(value))).collect();
            // Whatever order the table keeps elsewhere in a build.
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Node::Object(members)
        }
    }
}

/// What fits on a line stands on one.
const WIDTH: usize = 110;

impl Node {
    fn write(&self, into: &mut String, depth: usize) {
        let flat = self.flat();
        if flat.chars().count() + 2 * depth <= WIDTH && !flat.contains("\"properties\": {") {
            into.push_str(&flat);
            return;
        }
        let (open, close, parts): (_, _, Vec<(Option<&String>, &Node)>) = match self {
            Self::Leaf(leaf) => return into.push_str(leaf),
            Self::List(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
            Self::Object(members) => ('{', '}', members.iter().map(|(name, node)| (Some(name), node)).collect()),
        };
        into.push(open);
        let last = parts.len().saturating_sub(1);
        for (position, (name, node)) in parts.into_iter().enumerate() {
            into.push('\n');
            into.push_str(&"  ".repeat(depth + 1));
            if let Some(name) = name {
                let _ = write!(into, "{}: ", serde_json::Value::from(name.as_str()));
            }
            node.write(into, depth + 1);
            if position < last {
                into.push(',');
            }
        }
        into.push('\n');
        into.push_str(&"  ".repeat(depth));
        into.push(close);
    }

    fn flat(&self) -> String {
        match self {
            Self::Leaf(leaf) => leaf.clone(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::flat).collect::<Vec<_>>().join(", ")),
            Self::Object(members) if members.is_empty() => "{}".to_owned(),
            Self::Object(members) => {
                let written = members
                    .iter()
                    .map(|(name, node)| format!("{}: {}", serde_json::Value::from(name.as_str()), node.flat()));
                format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod check;
