//! Takes the data of a block apart into columns by path.

use super::column::{Column, ColumnBuilder};
use tallystick_domain::json::{JsonError, Leaf, members};

/// The most paths of a table that have columns.
const MAX_PATHS: usize = 64;

/// The paths of a table, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Paths {
    names: Vec<Vec<Box<str>>>,
    /// For the root and then for each path, the paths one member further.
    children: Vec<Vec<(Box<str>, usize)>>,
    /// For each of these, which child to expect next.
    next: Vec<usize>,
    /// How many names each path has.
    depths: Vec<u32>,
}

/// The columns of a block.
pub(super) struct BlockColumns {
    /// By path.
    pub columns: Vec<Option<Column>>,
    /// Whether a path without a column leads nowhere in all rows.
    pub all_paths_known: bool,
}

impl Paths {
    /// Member names from the root, by path.
    pub fn names(&self) -> &[Vec<Box<str>>] {
        &self.names
    }

    /// How many names each path has.
    pub fn depths(&self) -> &[u32] {
        &self.depths
    }

    /// The position of a path; a new one if there is room.
    pub fn add(&mut self, path: &[Box<str>]) -> Option<usize> {
        path.iter().try_fold(0, |node, name| self.child(node, name))?.checked_sub(1)
    }

    /// Exactly these paths, where each comes after the paths that lead to it.
    pub fn of(names: &[Vec<Box<str>>]) -> Self {
        let mut paths = Self::default();
        for path in names {
            paths.add(path);
        }
        paths
    }

    /// The columns of rows with these data texts. New paths are learnt while there is room.
    pub fn split<'a>(&mut self, data: impl Iterator<Item = Option<&'a str>> + Clone) -> BlockColumns {
        let mut block = Block { builders: Vec::new(), all_paths_known: true, is_sound: true };
        let start = || ColumnBuilder::new(data.clone().map(|text| text.is_some()));
        for (row, text) in data.clone().enumerate() {
            if let Some(text) = text {
                block.is_sound &= self.walk(0, text, row, &mut block, &start).is_ok();
            }
        }
        if !block.is_sound {
            // Domain lets no such data in. Should it come from elsewhere, its text alone has the answer.
            return BlockColumns { columns: Vec::new(), all_paths_known: false };
        }
        let columns = block.builders.into_iter().map(|builder| builder.map(ColumnBuilder::finish)).collect();
        BlockColumns { columns, all_paths_known: block.all_paths_known }
    }

    fn walk(
        &mut self,
        node: usize,
        object: &str,
        row: usize,
        block: &mut Block,
        start: &dyn Fn() -> ColumnBuilder,
    ) -> Result<(), JsonError> {
        let mut inner = Ok(());
        members(object, &mut |key, value| {
            let Some(child) = self.child(node, key) else {
                block.all_paths_known = false;
                return;
            };
            let leaf = Leaf::of(value);
            let is_object = leaf == Leaf::Object;
            block.is_sound &= block.builder(child - 1, start).set(row, leaf);
            if is_object && inner.is_ok() {
                inner = self.walk(child, value, row, block, start);
            }
        })?;
        inner
    }

    /// The node that a member leads to, which is its path plus one; `None` when there is no room for another.
    pub fn child(&mut self, node: usize, name: &str) -> Option<usize> {
        if let Some(children) = self.children.get(node) {
            let expected = self.next[node];
            let (before, after) = children.split_at(expected.min(children.len()));
            let found = after.iter().chain(before).position(|(known, _)| **known == *name);
            if let Some(steps) = found {
                let at = (expected + steps) % children.len();
                self.next[node] = (at + 1) % children.len();
                return Some(children[at].1);
            }
        }
        if self.names.len() == MAX_PATHS {
            return None;
        }
        let mut path = if node == 0 { Vec::new() } else { self.names[node - 1].clone() };
        path.push(name.into());
        self.depths.push(path.len() as u32);
        self.names.push(path);
        let child = self.names.len();
        self.children.resize_with(child + 1, Vec::new);
        self.next.resize(child + 1, 0);
        self.children[node].push((name.into(), child));
        Some(child)
    }
}

struct Block {
    builders: Vec<Option<ColumnBuilder>>,
    all_paths_known: bool,
    is_sound: bool,
}

impl Block {
    fn builder(&mut self, path: usize, start: &dyn Fn() -> ColumnBuilder) -> &mut ColumnBuilder {
        if self.builders.len() <= path {
            self.builders.resize_with(path + 1, || None);
        }
        self.builders[path].get_or_insert_with(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::segment::column::Kind;

    fn shown(paths: &Paths) -> Vec<String> {
        paths.names.iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn members_become_columns_and_items_do_not() {
        let mut paths = Paths::default();
        let data = [Some(r#"{"a":1,"b":{"c":"x","d":[{"e":1}]}}"#), None, Some(r#"{"b":2}"#)];
        let block = paths.split(data.into_iter());
        assert_eq!(shown(&paths), ["a", "b", "b.c", "b.d"]);
        let of_rows = |column: &Column| [0, 1, 2].map(|row| column.kinds.get(row));
        let kinds: Vec<_> = block.columns.iter().flatten().map(of_rows).collect();
        use Kind::*;
        let want =
            [[Number, NoData, Missing], [Object, NoData, Number], [Text, NoData, Missing], [Array, NoData, Missing]];
        assert_eq!(kinds, want);
        assert!(block.all_paths_known);
        assert_eq!(shown(&Paths::of(&paths.names)), shown(&paths));
    }

    #[test]
    fn paths_are_bounded_and_what_is_left_out_is_known() {
        let mut paths = Paths::default();
        let members: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let block = paths.split([Some(text.as_str())].into_iter());
        assert_eq!((paths.names.len(), block.columns.len(), block.all_paths_known), (MAX_PATHS, MAX_PATHS, false));
        assert!(paths.split([Some("{\"k0\":1}")].into_iter()).all_paths_known);
    }

    #[test]
    fn data_that_is_not_sound_makes_no_columns() {
        for bad in ["[1]", r#"{"a":1,"a":2}"#, r#"{"a":"#] {
            let block = Paths::default().split([Some("{\"a\":1}"), Some(bad)].into_iter());
            assert!(block.columns.is_empty() && !block.all_paths_known, "{bad}");
        }
    }
}
