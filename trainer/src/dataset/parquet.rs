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
use super::rows::{Cell, Row};

/// The key of the metadata in which `datasets` writes what its columns mean.
const FEATURES: &str = "huggingface";

/// Reads some columns; a row's place is its number, from 1.
pub(super) fn read(path: &Path, columns: &[&str]) -> Result<Vec<Row>, Unread> {
    let shown = |error: ParquetError| error.to_string();
    let file = fs_err::File::open(path).map_err(Unread::Io)?.into_parts().0;
    let reader = SerializedFileReader::new(file).map_err(shown)?;
    let metadata = reader.metadata().file_metadata();
    let names: Vec<Vec<String>> =
        columns.iter().map(|column| label_names(metadata, column)).collect();
    let projection = projection(metadata, columns)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(shown)?;
    let row = |(index, row): (usize, Result<parquet::record::Row, ParquetError>)| {
        let cells = row.map_err(shown).map(|row| {
            let cell = |(wanted, names): (&&str, &Vec<String>)| {
                let field = row.get_column_iter().find(|(name, _)| name.as_str() == *wanted);
                named(field.map_or(Cell::Missing, |(_, field)| cell(field)), names)
            };
            columns.iter().zip(&names).map(cell).collect()
        });
        Row::new(index + 1, cells)
    };
    Ok(rows.enumerate().map(row).collect())
}

/// The schema of the columns alone, so that no other one is read.
fn projection(metadata: &FileMetaData, columns: &[&str]) -> Result<Type, Unread> {
    let all = metadata.schema().get_fields();
    let missing = columns.iter().find(|name| !all.iter().any(|field| field.name() == **name));
    if let Some(missing) = missing {
        let found = all.iter().map(|field| field.name().to_owned()).collect();
        return Err(Unread::Column { name: (*missing).to_owned(), found });
    }
    let fields = all.iter().filter(|field| columns.contains(&field.name()));
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
        Field::ListInternal(list) => Cell::List(list.elements().iter().map(cell).collect()),
        _ => Cell::Other,
    }
}

/// A number becomes the name that the file has for it.
fn named(cell: Cell, names: &[String]) -> Cell {
    match cell {
        Cell::List(items) => Cell::List(items.into_iter().map(|item| named(item, names)).collect()),
        Cell::Plain(ref digits) if !names.is_empty() => {
            let name = digits.parse::<usize>().ok().and_then(|number| names.get(number));
            match name {
                Some(name) => Cell::Text(name.clone()),
                None => cell,
            }
        }
        other => other,
    }
}

/// The names of a `ClassLabel` column, in the order of its numbers; none for any other column.
fn label_names(metadata: &FileMetaData, column: &str) -> Vec<String> {
    let pairs = metadata.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let text =
        pairs.iter().find(|pair| pair.key == FEATURES).and_then(|pair| pair.value.as_deref());
    let document: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let names = document.as_ref().and_then(|it| {
        let feature = it.pointer("/info/features")?.get(column)?;
        // A list of labels has the names one step further in.
        let inner = feature.get("feature").unwrap_or(feature);
        inner.get("names")?.as_array()
    });
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
