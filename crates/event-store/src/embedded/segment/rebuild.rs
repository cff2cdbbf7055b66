//! Makes the data texts of a block again.

use super::bytes::{Corrupt, Reader};
use super::column::Column;
use super::encode::{EACH, KNOWN_SHAPES, SHORTEST};
use super::ints::get_codes;
use super::shape::{FIRST, FORMS, Form, NO_DATA, Renderer, WHOLE};
use super::texts::Bodies;

/// Which shape each row of a block has, and how its columns were written.
pub(super) struct Written {
    pub shapes: Vec<u32>,
    /// By path.
    pub forms: Vec<Form>,
}

impl Written {
    /// Reads what [`super::encode::Encoder`] wrote for `count` rows.
    pub fn get_from(reader: &mut Reader<'_>, count: usize, path_count: usize) -> Result<Self, Corrupt> {
        let shapes = get_codes(reader, count, KNOWN_SHAPES)?;
        let mut forms = vec![Form::Plain; path_count];
        while !reader.is_at_end() {
            let path = usize::from(reader.byte()?);
            let form = match reader.byte()? {
                SHORTEST => Form::Shortest,
                EACH => {
                    let codes = get_codes(reader, count, FORMS)?;
                    Form::Each(codes.into_iter().map(|code| code as u8).collect())
                }
                _ => return Err(Corrupt("a column has an unknown form")),
            };
            *forms.get_mut(path).ok_or(Corrupt("a form has an unknown path"))? = form;
        }
        Ok(Self { shapes, forms })
    }

    /// Whether some row is made from columns.
    pub fn needs_columns(&self) -> bool {
        self.shapes.iter().any(|shape| *shape >= FIRST)
    }
}

/// Everything that the data texts of a block are made from.
pub(super) struct Rebuild<'r> {
    pub written: &'r Written,
    pub rest: &'r Bodies,
    /// By path.
    pub columns: &'r [Option<Column>],
    pub renderers: &'r [Renderer],
}

impl Rebuild<'_> {
    /// Appends the text of a row, which must exist. False if it has no data.
    pub fn write(&self, row: usize, out: &mut String) -> Result<bool, Corrupt> {
        let rest = self.rest.get(row);
        match self.written.shapes[row] {
            NO_DATA => return Ok(false),
            WHOLE => out.push_str(rest.ok_or(Corrupt("a row has no text"))?),
            shape => {
                let renderer = self.renderers.get((shape - FIRST) as usize).ok_or(Corrupt("an unknown shape"))?;
                let slot = |path: u32| {
                    let column = self.columns.get(path as usize)?.as_ref()?;
                    Some(self.written.forms[path as usize].slot(column, row))
                };
                renderer.write(out, slot, rest)?;
            }
        }
        Ok(true)
    }
}
