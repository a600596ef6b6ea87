//! Built-in functions: a white list. What is not on it is error 195, as in SQL Server.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart};

use super::aggregate::is_aggregate;
use super::expression::invalid_operand;
use super::scope::{Place, Scope};
use super::window::is_window_function;
use super::{Binder, not_tsql};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::options::Version;
use crate::sql_type::{Kind, Length, SqlType};
use crate::typed::{Form, Strength, Typed};

impl Binder<'_> {
    pub(super) fn bind_function(
        &self,
        function: &Function,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let [ObjectNamePart::Identifier(ident)] = function.name.0.as_slice() else {
            return Err(SqlError::new(
                4121,
                16,
                1,
                format!(
                    "Cannot find either column or the user-defined function or aggregate \"{}\", or the name is ambiguous.",
                    function.name
                ),
            ));
        };
        let name = ident.value.to_ascii_uppercase();
        if ident.quote_style.is_some() {
            return Err(SqlError::unknown_function(&ident.value));
        }
        if function.filter.is_some() {
            return Err(not_tsql("FILTER"));
        }
        if function.uses_odbc_syntax
            || function.parameters != FunctionArguments::None
            || function.null_treatment.is_some()
        {
            return Err(not_tsql(&ident.value));
        }
        if let Some(over) = &function.over {
            return self.bind_over(&name, function, over, scope, place);
        }
        if is_window_function(&name) {
            return Err(SqlError::new(10753, 15, 1, format!("The function '{name}' must have an OVER clause.")));
        }
        if name == "STRING_AGG" && self.version < Version::Sql2017 {
            return Err(SqlError::unknown_function(&ident.value));
        }
        if is_aggregate(&name) {
            return self.bind_aggregate(&name, function, scope, place);
        }
        if !function.within_group.is_empty() {
            return Err(not_tsql("WITHIN"));
        }
        let list = match &function.args {
            FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
                list.args.as_slice()
            }
            FunctionArguments::None
                if matches!(name.as_str(), "CURRENT_TIMESTAMP" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER") =>
            {
                &[]
            }
            _ => return Err(not_tsql(&ident.value)),
        };
        let mut args = Vec::new();
        for arg in list {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return Err(not_tsql(arg)) };
            args.push(expr);
        }
        self.bind_named(&name, &args, scope, place)
    }

    pub(super) fn bind_named(
        &self,
        name: &str,
        args: &[&Expr],
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        if let Some(bound) = self.bind_with_words(name, args, scope, place)? {
            return Ok(bound);
        }
        let args = args.iter().map(|arg| self.bind_value(arg, scope, place)).collect::<Result<Vec<_>, _>>()?;
        let constant = !args.is_empty() && args.iter().all(Typed::is_constant);
        let bound = self.bind_plain(name, &args)?;
        let form = if constant { Form::Constant } else { bound.form };
        Ok(Typed { form, ..bound })
    }

    /// Functions whose arguments are not all values: names of date parts, conditions.
    fn bind_with_words(
        &self,
        name: &str,
        args: &[&Expr],
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Option<Typed>, SqlError> {
        let bound = match (name, args) {
            ("IIF", [condition, yes, no]) => {
                let condition = self.bind_predicate(condition, scope, place)?;
                let (yes, no) = (self.bind_value(yes, scope, place)?, self.bind_value(no, scope, place)?);
                let (sql_type, strength) = self.unified(&[yes.clone(), no.clone()], "IIF")?;
                let sql = format!(
                    "(CASE WHEN {condition} THEN {} ELSE {} END)",
                    yes.converted(sql_type, 0),
                    no.converted(sql_type, 0)
                );
                Typed { sql, sql_type, nullable: yes.nullable || no.nullable, strength, form: Form::Other }
            }
            ("DATEPART" | "DATENAME", [part, moment]) => {
                let part = date_part(part, name)?;
                let moment = self.as_moment(self.bind_value(moment, scope, place)?, name)?;
                let nullable = moment.nullable;
                let sql = format!("tds_datepart('{part}',{},{})", moment.sql, moment.sql_type.code());
                let number = Typed { nullable, ..Typed::new(sql, SqlType::Int) };
                if name == "DATEPART" {
                    number
                } else {
                    let sql = format!("tds_datename('{part}',{})", number.sql);
                    Typed { nullable, ..Typed::new(sql, SqlType::NVarChar(Length::Of(30), self.collation())) }
                }
            }
            ("DATEADD", [part, number, moment]) => {
                let part = date_part(part, name)?;
                let number = self.bind_value(number, scope, place)?;
                let moment = self.as_moment(self.bind_value(moment, scope, place)?, name)?;
                let sql = format!(
                    "tds_dateadd('{part}',{},{},{})",
                    number.converted(SqlType::BigInt, 0),
                    moment.sql,
                    moment.sql_type.code()
                );
                Typed { nullable: number.nullable || moment.nullable, ..Typed::new(sql, moment.sql_type) }
            }
            ("DATEDIFF" | "DATEDIFF_BIG", [part, start, end]) => {
                let part = date_part(part, name)?;
                let start = self.as_moment(self.bind_value(start, scope, place)?, name)?;
                let end = self.as_moment(self.bind_value(end, scope, place)?, name)?;
                let sql_type = if name == "DATEDIFF" { SqlType::Int } else { SqlType::BigInt };
                let sql = format!(
                    "tds_datediff('{part}',{},{},{},{},{})",
                    start.sql,
                    start.sql_type.code(),
                    end.sql,
                    end.sql_type.code(),
                    sql_type.code()
                );
                Typed { nullable: start.nullable || end.nullable, ..Typed::new(sql, sql_type) }
            }
            ("DATETRUNC", [part, moment]) if self.version >= Version::Sql2022 => {
                let part = date_part(part, name)?;
                let moment = self.as_moment(self.bind_value(moment, scope, place)?, name)?;
                let sql = format!("tds_datetrunc('{part}',{},{})", moment.sql, moment.sql_type.code());
                Typed { nullable: moment.nullable, ..Typed::new(sql, moment.sql_type) }
            }
            ("DATETRUNC", _) => return Err(SqlError::unknown_function("datetrunc")),
            _ => return Ok(None),
        };
        Ok(Some(bound))
    }

    /// A moment: texts are read as datetime2(7).
    fn as_moment(&self, value: Typed, function: &str) -> Result<Typed, SqlError> {
        match value.sql_type.kind() {
            _ if value.form == Form::Null => Ok(Typed { sql_type: SqlType::DateTime2(7), ..value }),
            Kind::Date | Kind::Time | Kind::DateTime | Kind::DateTimeOffset => Ok(value),
            Kind::String => Ok(value.cast_to(SqlType::DateTime2(7))),
            Kind::Integer => Ok(value.cast_to(SqlType::DateTime)),
            _ => Err(SqlError::new(
                8116,
                16,
                1,
                format!(
                    "Argument data type {} is invalid for argument 2 of {} function.",
                    value.sql_type.name(),
                    function.to_lowercase()
                ),
            )),
        }
    }

    fn bind_plain(&self, name: &str, args: &[Typed]) -> Result<Typed, SqlError> {
        let lower = name.to_ascii_lowercase();
        let nullable = args.iter().any(|arg| arg.nullable);
        let made = |sql: String, sql_type: SqlType| Typed { nullable, ..Typed::new(sql, sql_type) };
        let arity =
            |count: usize| SqlError::new(174, 15, 1, format!("The {lower} function requires {count} argument(s)."));
        let invalid = |position: usize| {
            let sql_type = args.get(position).map_or("NULL", |arg| arg.sql_type.name());
            SqlError::new(
                8116,
                16,
                1,
                format!("Argument data type {sql_type} is invalid for argument {} of {lower} function.", position + 1),
            )
        };
        // Numbers and moments become text where a text is asked for.
        let text = |position: usize| -> Result<Typed, SqlError> {
            let arg = args.get(position).ok_or_else(|| arity(position + 1))?;
            match arg.sql_type.kind() {
                _ if arg.form == Form::Null => {
                    Ok(Typed { sql_type: SqlType::VarChar(Length::Of(1), self.collation()), ..arg.clone() })
                }
                Kind::String => Ok(arg.clone()),
                Kind::Binary | Kind::Xml => Err(invalid(position)),
                _ => Ok(arg.cast_to(SqlType::VarChar(Length::Of(8000), self.collation()))),
            }
        };
        let integer = |position: usize| -> Result<String, SqlError> {
            let arg = args.get(position).ok_or_else(|| arity(position + 1))?;
            if arg.form == Form::Null || arg.sql_type.is_numeric() || arg.sql_type.is_string() {
                Ok(arg.converted(SqlType::BigInt, 0))
            } else {
                Err(invalid(position))
            }
        };
        let varying = |sql_type: SqlType, length: Length| {
            let collation = sql_type.collation().unwrap_or(Collation::DEFAULT);
            if sql_type.is_unicode() {
                SqlType::NVarChar(length, collation)
            } else {
                SqlType::VarChar(length, collation)
            }
        };
        let same_length = |sql_type: SqlType| varying(sql_type, crate::typed::string_length(sql_type));
        let stringy = |arg: &Typed, sql: String, sql_type: SqlType| Typed {
            nullable,
            strength: arg.strength,
            ..Typed::new(sql, sql_type)
        };
        match (name, args.len()) {
            ("COALESCE", 2..) => {
                if args.iter().all(|arg| arg.form == Form::Null) {
                    return Err(SqlError::new(
                        4127,
                        16,
                        1,
                        "At least one of the arguments to COALESCE must be an expression that is not the NULL constant.",
                    ));
                }
                let (sql_type, strength) = self.unified(args, "COALESCE")?;
                let parts: Vec<String> = args.iter().map(|arg| arg.converted(sql_type, 0)).collect();
                let nullable = args.iter().all(|arg| arg.nullable);
                Ok(Typed {
                    sql: format!("coalesce({})", parts.join(",")),
                    sql_type,
                    nullable,
                    strength,
                    form: Form::Other,
                })
            }
            ("ISNULL", 2) => {
                let [value, otherwise] = args else { return Err(arity(2)) };
                // The type of the first argument, whatever the second is.
                let sql_type = if value.form == Form::Null { otherwise.sql_type } else { value.sql_type };
                let sql = format!("coalesce({},{})", value.sql, otherwise.converted(sql_type, 0));
                Ok(Typed {
                    sql,
                    sql_type,
                    nullable: value.nullable && otherwise.nullable,
                    strength: value.strength,
                    form: Form::Other,
                })
            }
            ("NULLIF", 2) => {
                let [left, right] = args else { return Err(arity(2)) };
                if left.form == Form::Null {
                    return Err(SqlError::new(
                        4151,
                        16,
                        1,
                        "The type of the first argument to NULLIF cannot be the NULL constant because the type of the first argument has to be known.",
                    ));
                }
                let test = self.compare("=", left, right)?;
                Ok(Typed {
                    nullable: true,
                    strength: left.strength,
                    ..Typed::new(format!("(CASE WHEN {test} THEN NULL ELSE {} END)", left.sql), left.sql_type)
                })
            }
            ("LEN", 1) => {
                let arg = args.first().ok_or_else(|| arity(1))?;
                let sql_type = match arg.sql_type {
                    SqlType::VarChar(Length::Max, _)
                    | SqlType::NVarChar(Length::Max, _)
                    | SqlType::VarBinary(Length::Max) => SqlType::BigInt,
                    _ => SqlType::Int,
                };
                match arg.sql_type {
                    SqlType::Text(_) | SqlType::NText(_) | SqlType::Image => Err(invalid(0)),
                    _ if arg.sql_type.kind() == Kind::Binary => Ok(made(format!("length({})", arg.sql), sql_type)),
                    _ => Ok(made(format!("tds_len({},{})", text(0)?.sql, counted(&text(0)?)), sql_type)),
                }
            }
            ("DATALENGTH", 1) => {
                let arg = args.first().ok_or_else(|| arity(1))?;
                let sql_type = if arg.sql_type.length().is_none()
                    && (arg.sql_type.is_string() || arg.sql_type.kind() == Kind::Binary)
                {
                    SqlType::BigInt
                } else {
                    SqlType::Int
                };
                Ok(made(format!("tds_datalength({},{})", arg.sql, arg.sql_type.code()), sql_type))
            }
            ("UPPER" | "LOWER", 1) => {
                let arg = text(0)?;
                Ok(stringy(&arg, format!("tds_{lower}({})", arg.sql), same_length(arg.sql_type)))
            }
            ("LTRIM" | "RTRIM" | "TRIM", 1) => {
                if name == "TRIM" && self.version < Version::Sql2017 {
                    return Err(SqlError::unknown_function(name));
                }
                let arg = text(0)?;
                Ok(stringy(&arg, format!("{lower}({},' ')", arg.sql), same_length(arg.sql_type)))
            }
            ("REVERSE", 1) => {
                let arg = text(0)?;
                Ok(stringy(&arg, format!("tds_reverse({})", arg.sql), same_length(arg.sql_type)))
            }
            ("LEFT" | "RIGHT", 2) => {
                let arg = text(0)?;
                Ok(stringy(
                    &arg,
                    format!("tds_{lower}({},{},{})", arg.sql, integer(1)?, counted(&arg)),
                    same_length(arg.sql_type),
                ))
            }
            ("SUBSTRING", 3) => {
                let arg = args.first().ok_or_else(|| arity(3))?;
                if arg.sql_type.kind() == Kind::Binary {
                    return Ok(made(
                        format!("tds_subbinary({},{},{})", arg.sql, integer(1)?, integer(2)?),
                        SqlType::VarBinary(arg.sql_type.length().map_or(Length::Max, Length::Of)),
                    ));
                }
                if !arg.sql_type.is_string() && arg.form != Form::Null {
                    return Err(invalid(0));
                }
                let arg = text(0)?;
                Ok(stringy(
                    &arg,
                    format!("tds_substring({},{},{},{})", arg.sql, integer(1)?, integer(2)?, counted(&arg)),
                    same_length(arg.sql_type),
                ))
            }
            ("CHARINDEX", 2 | 3) => {
                let (needle, hay) = (text(0)?, text(1)?);
                let (collation, _) = crate::typed::common_collation(&needle, &hay, "charindex")?;
                let start = if args.len() == 3 { integer(2)? } else { "1".to_owned() };
                let sql_type = if hay.sql_type.length().is_none() { SqlType::BigInt } else { SqlType::Int };
                Ok(made(format!("tds_charindex({},{},{start},{})", needle.sql, hay.sql, collation.code()), sql_type))
            }
            ("REPLACE", 3) => {
                let (arg, from, to) = (text(0)?, text(1)?, text(2)?);
                let (collation, _) = crate::typed::common_collation(&arg, &from, "replace")?;
                let unicode = [&arg, &from, &to].iter().any(|side| side.sql_type.is_unicode());
                let length = match crate::typed::string_length(arg.sql_type) {
                    Length::Max => Length::Max,
                    Length::Of(_) if unicode => Length::Of(4000),
                    Length::Of(_) => Length::Of(8000),
                };
                let sql_type =
                    if unicode { SqlType::NVarChar(length, collation) } else { SqlType::VarChar(length, collation) };
                Ok(stringy(
                    &arg,
                    format!("tds_replace({},{},{},{})", arg.sql, from.sql, to.sql, collation.code()),
                    sql_type,
                ))
            }
            ("STUFF", 4) => {
                let (arg, with) = (text(0)?, text(3)?);
                Ok(stringy(
                    &arg,
                    format!("tds_stuff({},{},{},{},{})", arg.sql, integer(1)?, integer(2)?, with.sql, counted(&arg)),
                    varying(arg.sql_type, if arg.sql_type.is_unicode() { Length::Of(4000) } else { Length::Of(8000) }),
                ))
            }
            ("REPLICATE", 2) => {
                let arg = text(0)?;
                let length = if arg.sql_type.is_unicode() { Length::Of(4000) } else { Length::Of(8000) };
                let length = if arg.sql_type.length().is_none() { Length::Max } else { length };
                let sql_type = varying(arg.sql_type, length);
                Ok(stringy(&arg, format!("tds_replicate({},{},{})", arg.sql, integer(1)?, sql_type.code()), sql_type))
            }
            ("SPACE", 1) => {
                let sql_type = SqlType::VarChar(Length::Of(8000), self.collation());
                Ok(made(format!("tds_replicate(' ',{},{})", integer(0)?, sql_type.code()), sql_type))
            }
            ("CONCAT", 2..) => {
                let parts = (0..args.len()).map(text).collect::<Result<Vec<_>, _>>()?;
                let unicode = parts.iter().any(|part| part.sql_type.is_unicode());
                let length = parts
                    .iter()
                    .try_fold(0u16, |sum, part| part.sql_type.length().map(|length| sum.saturating_add(length)));
                let length = match (length, unicode) {
                    (None, _) => Length::Max,
                    (Some(length), true) => Length::Of(length.clamp(1, 4000)),
                    (Some(length), false) => Length::Of(length.clamp(1, 8000)),
                };
                let collation = parts
                    .iter()
                    .max_by_key(|part| part.strength)
                    .and_then(|part| part.sql_type.collation())
                    .unwrap_or(self.collation());
                let sql_type =
                    if unicode { SqlType::NVarChar(length, collation) } else { SqlType::VarChar(length, collation) };
                let joined: Vec<String> = parts.iter().map(|part| format!("coalesce({},'')", part.sql)).collect();
                let strength = parts.iter().map(|part| part.strength).max().unwrap_or(Strength::CoercibleDefault);
                Ok(Typed { strength, ..Typed::new(format!("({})", joined.join("||")), sql_type).not_null() })
            }
            ("ASCII", 1) => Ok(made(format!("tds_ascii({})", text(0)?.sql), SqlType::Int)),
            ("UNICODE", 1) => Ok(made(format!("tds_unicode({},{})", text(0)?.sql, counted(&text(0)?)), SqlType::Int)),
            ("CHAR", 1) => Ok(Typed::new(format!("tds_char({})", integer(0)?), SqlType::Char(1, self.collation()))),
            ("NCHAR", 1) => Ok(Typed::new(format!("tds_nchar({})", integer(0)?), SqlType::NChar(1, self.collation()))),
            ("QUOTENAME", 1) => Ok(Typed::new(
                format!("tds_quotename({})", text(0)?.sql),
                SqlType::NVarChar(Length::Of(258), self.collation()),
            )),
            ("ISNUMERIC", 1) => Ok(made(format!("tds_isnumeric({})", text(0)?.sql), SqlType::Int)),
            ("ISJSON", 1) => Ok(made(format!("tds_isjson({})", text(0)?.sql), SqlType::Int)),
            ("JSON_VALUE", 2) => {
                let (document, path) = (text(0)?, text(1)?);
                Ok(Typed::new(
                    format!("tds_json({},'object',{},0)", document.sql, path.sql),
                    SqlType::NVarChar(Length::Of(4000), self.collation()),
                ))
            }
            ("HASHBYTES", 2) => {
                let (algorithm, value) = (text(0)?, args.get(1).ok_or_else(|| arity(2))?);
                let bytes = match value.sql_type.kind() {
                    Kind::Binary => value.sql.clone(),
                    Kind::String => value.converted(SqlType::VarBinary(Length::Max), 0),
                    _ => return Err(invalid(1)),
                };
                Ok(Typed::new(
                    format!("tds_hashbytes({},{bytes})", algorithm.sql),
                    SqlType::VarBinary(Length::Of(8000)),
                ))
            }
            ("YEAR" | "MONTH" | "DAY", 1) => {
                let moment = self.as_moment(args.first().cloned().ok_or_else(|| arity(1))?, name)?;
                Ok(made(format!("tds_datepart('{lower}',{},{})", moment.sql, moment.sql_type.code()), SqlType::Int))
            }
            ("DATEFROMPARTS", 3) => {
                Ok(made(format!("tds_datefromparts({},{},{})", integer(0)?, integer(1)?, integer(2)?), SqlType::Date))
            }
            ("DATETIME2FROMPARTS", 8) => {
                let Some(Typed { sql: precision, form: Form::Integer(_), .. }) = args.last() else {
                    return Err(invalid(7));
                };
                let scale = precision.parse::<u8>().ok().filter(|scale| *scale <= 7).ok_or_else(|| invalid(7))?;
                let parts = (0..7).map(&integer).collect::<Result<Vec<_>, _>>()?;
                Ok(made(format!("tds_datetime2fromparts({},{scale})", parts.join(",")), SqlType::DateTime2(scale)))
            }
            ("SWITCHOFFSET" | "TODATETIMEOFFSET", 2) => {
                let moment = args.first().cloned().ok_or_else(|| arity(2))?;
                let scale = match moment.sql_type {
                    SqlType::DateTimeOffset(scale) | SqlType::DateTime2(scale) => scale,
                    _ => 7,
                };
                let zone = text(1)?.sql;
                let (function, from) = if name == "SWITCHOFFSET" {
                    ("tds_switchoffset", SqlType::DateTimeOffset(scale))
                } else {
                    ("tds_todatetimeoffset", SqlType::DateTime2(scale))
                };
                Ok(made(format!("{function}({},{zone})", moment.cast_to(from).sql), SqlType::DateTimeOffset(scale)))
            }
            ("ROWCOUNT_BIG", 0) => Ok(Typed::new("tds_session('@@ROWCOUNT')", SqlType::BigInt).not_null()),
            ("EOMONTH", 1 | 2) => {
                let moment = args.first().cloned().ok_or_else(|| arity(1))?.cast_to(SqlType::Date);
                let months = if args.len() == 2 { integer(1)? } else { "0".to_owned() };
                Ok(made(format!("tds_eomonth({},{months})", moment.sql), SqlType::Date))
            }
            ("GETDATE" | "CURRENT_TIMESTAMP" | "GETUTCDATE", 0) => {
                Ok(Typed::new("tds_now(3)", SqlType::DateTime).not_null())
            }
            ("SYSDATETIME" | "SYSUTCDATETIME", 0) => Ok(Typed::new("tds_now(7)", SqlType::DateTime2(7)).not_null()),
            ("NEWID", 0) => Ok(Typed::new("tds_newid()", SqlType::UniqueIdentifier).not_null()),
            ("ABS" | "CEILING" | "FLOOR" | "SIGN" | "ROUND", _) => self.bind_rounding(name, args),
            ("POWER" | "SQRT" | "EXP" | "LOG" | "LOG10" | "SQUARE" | "SIN" | "COS" | "TAN" | "PI", _) => {
                let count = match name {
                    "PI" => 0,
                    "POWER" => 2,
                    _ => 1,
                };
                if args.len() != count {
                    return Err(arity(count));
                }
                let floats: Vec<String> = args.iter().map(|arg| arg.converted(SqlType::Float, 0)).collect();
                let bound = made(
                    format!("tds_math('{lower}'{}{})", if count == 0 { "" } else { "," }, floats.join(",")),
                    SqlType::Float,
                );
                // POWER answers in the type of its base.
                match args.first() {
                    Some(base) if name == "POWER" && matches!(base.sql_type.kind(), Kind::Integer | Kind::Decimal) => {
                        let target = match base.sql_type {
                            SqlType::TinyInt | SqlType::SmallInt | SqlType::Bit => SqlType::Int,
                            SqlType::Decimal { scale, .. } => SqlType::Decimal { precision: 38, scale },
                            other => other,
                        };
                        Ok(bound.cast_to(target))
                    }
                    _ => Ok(bound),
                }
            }
            _ => self.bind_metadata_function(name, args),
        }
    }

    fn bind_rounding(&self, name: &str, args: &[Typed]) -> Result<Typed, SqlError> {
        let lower = name.to_ascii_lowercase();
        let (value, digits, mode) = match (name, args) {
            ("ROUND", [value, digits]) => (value, digits.converted(SqlType::Int, 0), "0".to_owned()),
            ("ROUND", [value, digits, mode]) => {
                (value, digits.converted(SqlType::Int, 0), mode.converted(SqlType::Int, 0))
            }
            ("ROUND", _) => return Err(SqlError::new(189, 15, 1, "The round function requires 2 to 3 arguments.")),
            (_, [value]) => (value, "0".to_owned(), "0".to_owned()),
            _ => return Err(SqlError::new(174, 15, 1, format!("The {lower} function requires 1 argument(s)."))),
        };
        let value = match value.sql_type.kind() {
            Kind::String => value.cast_to(SqlType::Float),
            Kind::Integer | Kind::Float | Kind::Decimal => value.clone(),
            _ => {
                return Err(SqlError::new(
                    8116,
                    16,
                    1,
                    format!(
                        "Argument data type {} is invalid for argument 1 of {lower} function.",
                        value.sql_type.name()
                    ),
                ));
            }
        };
        if value.sql_type == SqlType::Bit {
            return Err(invalid_operand(value.sql_type, &lower));
        }
        let sql_type = match value.sql_type {
            SqlType::TinyInt | SqlType::SmallInt if name != "ABS" => SqlType::Int,
            SqlType::Real => SqlType::Float,
            SqlType::Decimal { precision, .. } if matches!(name, "CEILING" | "FLOOR") => {
                SqlType::Decimal { precision, scale: 0 }
            }
            other => other,
        };
        let sql = format!("tds_round('{lower}',{},{},{digits},{mode})", value.sql, value.sql_type.code());
        Ok(Typed { nullable: value.nullable, ..Typed::new(sql, sql_type) })
    }
}

/// The collation that says what a length counts.
fn counted(text: &Typed) -> u8 {
    text.sql_type.collation().unwrap_or(Collation::DEFAULT).code()
}

/// The part of a date as DATEPART writes it, with its abbreviations.
fn date_part(expr: &Expr, function: &str) -> Result<&'static str, SqlError> {
    let Expr::Identifier(ident) = expr else {
        return Err(SqlError::new(
            1023,
            15,
            1,
            format!("Invalid parameter 1 specified for {}.", function.to_lowercase()),
        ));
    };
    Ok(match ident.value.to_ascii_lowercase().as_str() {
        "year" | "yy" | "yyyy" => "year",
        "quarter" | "qq" | "q" => "quarter",
        "month" | "mm" | "m" => "month",
        "dayofyear" | "dy" | "y" => "dayofyear",
        "day" | "dd" | "d" => "day",
        "week" | "wk" | "ww" => "week",
        "weekday" | "dw" | "w" => "weekday",
        "iso_week" | "isowk" | "isoww" => "iso_week",
        "hour" | "hh" => "hour",
        "minute" | "mi" | "n" => "minute",
        "second" | "ss" | "s" => "second",
        "millisecond" | "ms" => "millisecond",
        "microsecond" | "mcs" => "microsecond",
        "nanosecond" | "ns" => "nanosecond",
        "tzoffset" | "tz" => "tzoffset",
        other => {
            return Err(SqlError::new(
                155,
                15,
                1,
                format!("'{other}' is not a recognized {} option.", function.to_lowercase()),
            ));
        }
    })
}
