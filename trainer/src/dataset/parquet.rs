//! Parquet files, as Hugging Face's `datasets` and pandas write them.

use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::Value;

use super::Unread;
use super::rows::{Cell, Columns, Row};

/// The key of the metadata in which `datasets` writes what its columns mean.
const FEATURES: &str = "huggingface";

/// Reads two columns; a row's place is its number, from 1.
pub(super) fn read(path: &Path, columns: &Columns) -> Result<Vec<Row>, Unread> {
    let shown = |error: ParquetError| error.to_string();
    let file = fs_err::File::open(path).map_err(Unread::Io)?.into_parts().0;
    let reader = SerializedFileReader::new(file).map_err(shown)?;
    let metadata = reader.metadata().file_metadata();
    let names = label_names(metadata, &columns.label);
    let projection = projection(metadata, columns)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(shown)?;
    let row = |(index, row): (usize, Result<parquet::record::Row, ParquetError>)| {
        let cells = row.map_err(shown).map(|row| {
            let cell = |wanted: &str| {
                let field = row.get_column_iter().find(|(name, _)| *name == wanted);
                field.map_or(Cell::Missing, |(_, field)| cell(field))
            };
            [cell(&columns.text), named(cell(&columns.label), &names)]
        });
        Row::new(index + 1, cells)
    };
    Ok(rows.enumerate().map(row).collect())
}

/// The schema of the two columns alone, so that no other one is read.
fn projection(metadata: &FileMetaData, columns: &Columns) -> Result<Type, Unread> {
    let all = metadata.schema().get_fields();
    let wanted = [&columns.text, &columns.label];
    if let Some(missing) =
        wanted.iter().find(|name| !all.iter().any(|field| field.name() == name.as_str()))
    {
        let found = all.iter().map(|field| field.name().to_owned()).collect();
        return Err(Unread::Column { name: (*missing).clone(), found });
    }
    let fields = all.iter().filter(|field| wanted.iter().any(|name| field.name() == name.as_str()));
    let fields = fields.map(Arc::clone).collect();
    let schema = Type::group_type_builder(metadata.schema().name()).with_fields(fields).build();
    schema.map_err(|error| error.to_string().into())
}

fn cell(field: &Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Str(text) => Cell::Text(text.clone()),
        // Old writers do not say that their bytes are text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Other,
        },
        Field::Bool(truth) => Cell::Plain(truth.to_string()),
        Field::Byte(n) => Cell::Plain(n.to_string()),
        Field::Short(n) => Cell::Plain(n.to_string()),
        Field::Int(n) => Cell::Plain(n.to_string()),
        Field::Long(n) => Cell::Plain(n.to_string()),
        Field::UByte(n) => Cell::Plain(n.to_string()),
        Field::UShort(n) => Cell::Plain(n.to_string()),
        Field::UInt(n) => Cell::Plain(n.to_string()),
        Field::ULong(n) => Cell::Plain(n.to_string()),
        Field::Float(n) => Cell::Plain(n.to_string()),
        Field::Double(n) => Cell::Plain(n.to_string()),
        _ => Cell::Other,
    }
}

/// A number becomes the name that the file has for it.
fn named(cell: Cell, names: &[String]) -> Cell {
    match &cell {
        Cell::Plain(digits) if !names.is_empty() => {
            let name = digits.parse::<usize>().ok().and_then(|number| names.get(number));
            name.map_or(cell, |name| Cell::Text(name.clone()))
        }
        _ => cell,
    }
}

/// The names of a `ClassLabel` column, in the order of its numbers; none for any other column.
fn label_names(metadata: &FileMetaData, column: &str) -> Vec<String> {
    let pairs = metadata.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let text =
        pairs.iter().find(|pair| pair.key == FEATURES).and_then(|pair| pair.value.as_deref());
    let document: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let names = document
        .as_ref()
        .and_then(|it| it.pointer("/info/features")?.get(column)?.get("names")?.as_array());
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
