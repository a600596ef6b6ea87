//! Calls of functions: SQLite's own, aggregates, rows from arrays, and those that `functions.rs` gives it.

use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

use super::super::functions;
use super::expression::unified;
use super::from::function_name;
use super::scope::{Elements, Scope, Typed, array_of, element_of, is_reg};
use super::{Refusal, Shown, Translator, list};

/// Functions that SQLite has under the same name, with what they give; `None`: what their first argument is.
const OF_SQLITE: [(&str, Option<Type>); 23] = [
    ("json_object", Some(Type::JSON)),
    ("lower", Some(Type::TEXT)),
    ("upper", Some(Type::TEXT)),
    ("length", Some(Type::INT4)),
    ("replace", Some(Type::TEXT)),
    ("trim", Some(Type::TEXT)),
    ("ltrim", Some(Type::TEXT)),
    ("rtrim", Some(Type::TEXT)),
    ("abs", None),
    ("round", None),
    ("nullif", None),
    ("substr", Some(Type::TEXT)),
    ("min", None),
    ("max", None),
    ("sum", Some(Type::INT8)),
    ("avg", Some(Type::FLOAT8)),
    ("row_number", Some(Type::INT8)),
    ("rank", Some(Type::INT8)),
    ("dense_rank", Some(Type::INT8)),
    ("first_value", None),
    ("last_value", None),
    ("lag", None),
    ("lead", None),
];

/// Functions that SQLite has under another name.
const RENAMED: [(&str, &str); 9] = [
    ("json_build_object", "json_object"),
    ("jsonb_build_object", "json_object"),
    ("char_length", "length"),
    ("character_length", "length"),
    ("octet_length", "length"),
    ("substring", "substr"),
    ("btrim", "trim"),
    ("bool_or", "max"),
    ("bool_and", "min"),
];

/// Functions of a projection that give a row for each element.
const GIVE_ROWS: [&str; 5] =
    ["unnest", "generate_series", "generate_subscripts", "_pg_expandarray", "regexp_split_to_table"];

impl Translator {
    pub(super) fn function(&self, function: &ast::Function, scope: &Scope<'_>) -> Result<Typed, Refusal> {
        let name = function_name(&function.name)?;
        let arguments = match &function.args {
            ast::FunctionArguments::None => return self.called(&name, &[]),
            ast::FunctionArguments::Subquery(query) if name == "array" => {
                let (sql, columns) = self.query(query, scope, Shown::No)?;
                let (column, of) = columns.into_iter().next().unwrap_or(("?column?".to_owned(), Type::TEXT));
                let column = super::scope::quoted(&column);
                return Ok(Typed::new(format!("(SELECT json_group_array({column}) FROM ({sql}))"), array_of(&of)));
            }
            ast::FunctionArguments::Subquery(_) => return Err(Refusal::unsupported("a query as an argument")),
            ast::FunctionArguments::List(arguments) => arguments,
        };
        let values = self.arguments(&arguments.args, scope)?;
        if GIVE_ROWS.contains(&name.as_str()) {
            return self.element(&name, &values, scope);
        }
        let mut order = String::new();
        for clause in &arguments.clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(keys) => order = self.order(keys, scope, &Vec::new())?,
                _ => return Err(Refusal::unsupported("this form of a call")),
            }
        }
        let distinct = match arguments.duplicate_treatment {
            Some(ast::DuplicateTreatment::Distinct) => "DISTINCT ",
            _ => "",
        };
        let filter = match &function.filter {
            Some(expr) => format!(" FILTER (WHERE {})", self.expression(expr, scope)?.into_type(&Type::BOOL).sql),
            None => String::new(),
        };
        let first = || values.first().cloned().unwrap_or_else(Typed::null);
        let aggregated = match name.as_str() {
            "count" => {
                let what = if values.is_empty() { "*".to_owned() } else { first().sql };
                Some(Typed::new(format!("count({distinct}{what}){filter}"), Type::INT8))
            }
            "array_agg" => {
                let of = array_of(&first().of);
                // Of no rows PostgreSQL makes no array.
                let call = format!("json_group_array({distinct}{}{order}){filter}", first().sql);
                Some(Typed::new(format!("nullif({call}, '[]')"), of))
            }
            "string_agg" => {
                let arguments = list(values.iter().map(|value| value.clone().shown().sql));
                Some(Typed::new(format!("group_concat({distinct}{arguments}{order}){filter}"), Type::TEXT))
            }
            _ if !distinct.is_empty() || !order.is_empty() || !filter.is_empty() => {
                let plain = self.called(&name, &values)?;
                let inside = plain.sql.trim_end_matches(')');
                let (function, arguments) = inside.split_once('(').unwrap_or((inside, ""));
                Some(Typed::new(format!("{function}({distinct}{arguments}{order}){filter}"), plain.of))
            }
            _ => None,
        };
        let mut call = aggregated.map_or_else(|| self.called(&name, &values), Ok)?;
        match &function.over {
            None => {}
            Some(ast::WindowType::WindowSpec(window)) if window.window_frame.is_none() => {
                let by = window.partition_by.iter().map(|expr| Ok::<_, Refusal>(self.expression(expr, scope)?.sql));
                let by = by.collect::<Result<Vec<_>, _>>()?;
                let by = if by.is_empty() { String::new() } else { format!("PARTITION BY {}", by.join(", ")) };
                let order = self.order(&window.order_by, scope, &Vec::new())?;
                call.sql = format!("{} OVER ({by}{order})", call.sql);
            }
            Some(_) => return Err(Refusal::unsupported("this form of a window")),
        }
        Ok(call)
    }

    pub(super) fn arguments(&self, arguments: &[ast::FunctionArg], scope: &Scope<'_>) -> Result<Vec<Typed>, Refusal> {
        let values = arguments.iter().filter_map(|argument| match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(self.expression(expr, scope)),
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => None,
            other => Some(Err(Refusal::unsupported(format!("the argument `{other}`")))),
        });
        values.collect()
    }

    /// A call of a function of values.
    pub(super) fn called(&self, name: &str, arguments: &[Typed]) -> Result<Typed, Refusal> {
        if matches!(name, "coalesce" | "greatest" | "least") {
            let (values, of) = unified(arguments.to_vec());
            let function = match name {
                "greatest" => "max",
                "least" => "min",
                _ => name,
            };
            return Ok(match values.as_slice() {
                [only] => only.clone(),
                _ => Typed::new(format!("{function}({})", list(values.into_iter().map(|value| value.sql))), of),
            });
        }
        let renamed = RENAMED.iter().find(|(known, _)| *known == name).map_or(name, |(_, renamed)| renamed);
        if let Some((function, of)) = OF_SQLITE.iter().find(|(known, _)| *known == renamed) {
            let of = of.clone().or_else(|| Some(arguments.first()?.of.clone())).unwrap_or(Type::UNKNOWN);
            return Ok(Typed::new(
                format!("{function}({})", list(arguments.iter().map(|value| value.sql.clone()))),
                of,
            ));
        }
        let Some(function) = functions::known(name) else {
            return Err(Refusal::new("42883", format!("the catalogs know no function `{name}`")));
        };
        // Names stand for themselves where a text is taken, and numbers where one is: format_type takes the number.
        let arguments = arguments.iter().map(|value| match is_reg(&value.of) && function.takes_names {
            true => value.clone().shown().sql,
            false => value.sql.clone(),
        });
        let of = match function.of {
            // What it makes of an array is one of its kind.
            Type::ANYARRAY => Type::TEXT_ARRAY,
            ref of => of.clone(),
        };
        Ok(Typed::new(format!("{}({})", function.name, list(arguments)), of))
    }

    /// One element of each row that a projection asks an array for.
    fn element(&self, function: &str, arguments: &[Typed], scope: &Scope<'_>) -> Result<Typed, Refusal> {
        let array = self.array_of_rows(function, arguments)?;
        let mut sets = scope.sets.borrow_mut();
        let known = sets.iter().find(|set| set.of == array.sql).map(|set| set.name.clone());
        let (key, value) = match (known, sets.first()) {
            (Some(name), _) => (format!("{name}.key"), format!("{name}.value")),
            // Several arrays go in step.
            (None, Some(first)) => {
                let key = format!("{}.key", first.name);
                let value = format!("json_extract({}, '$[' || {key} || ']')", array.sql);
                (key, value)
            }
            (None, None) => {
                let name = self.fresh();
                let sql = format!("json_each({}) AS {name}", array.sql);
                sets.push(Elements { of: array.sql.clone(), name: name.clone(), sql });
                (format!("{name}.key"), format!("{name}.value"))
            }
        };
        Ok(match function {
            "generate_subscripts" => Typed::new(format!("({key} + 1)"), Type::INT4),
            "_pg_expandarray" => Typed::new(format!("json_object('x', {value}, 'n', {key} + 1)"), Type::RECORD),
            _ => Typed::new(value, element_of(&array.of).unwrap_or(Type::TEXT)),
        })
    }
}
