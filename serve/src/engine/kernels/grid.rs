//! A matrix that several threads write at once, each its own blocks.
#![expect(
    unsafe_code,
    reason = "blocks of one matrix interleave in memory, which slices cannot say"
)]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

/// A row-major matrix to be written block by block.
pub(in super::super) struct Grid<'a> {
    data: &'a mut [f32],
    stride: usize,
}

impl<'a> Grid<'a> {
    /// Rows are `stride` elements apart.
    pub(in super::super) fn new(data: &'a mut [f32], stride: usize) -> Self {
        Self { data, stride }
    }

    /// Works on every block that a range of rows and a range of columns make, in parallel. `work`
    /// gets the places of both ranges in their lists.
    ///
    /// The ranges of each list must ascend without overlap, and lie within the matrix.
    pub(in super::super) fn for_each_block<S: Default>(
        self,
        rows: &[Range<usize>],
        columns: &[Range<usize>],
        work: impl Fn(&mut S, usize, usize, Block<'_>) + Sync,
    ) {
        let Self { data, stride } = self;
        let (n_rows, n_columns) = (ascending(rows), ascending(columns));
        assert!(n_columns <= stride, "{n_columns} columns do not fit into a stride of {stride}");
        assert!(
            n_rows == 0 || data.len() >= (n_rows - 1) * stride + n_columns,
            "{n_rows} rows do not fit"
        );
        let start = Start(data.as_mut_ptr());
        let one = |scratch: &mut S, n: usize| {
            let (row, column) = (n / columns.len(), n % columns.len());
            let (place, start) = (rows[row].start * stride + columns[column].start, &start);
            // SAFETY: the block lies within `data`, as the ranges do. `n` is met once, and the
            // blocks of different `n` share no element, as the ranges of a list do not overlap;
            // `data` is borrowed until all are done.
            let first = unsafe { start.0.add(place) };
            let (n_rows, n_columns) = (rows[row].len(), columns[column].len());
            work(scratch, row, column, Block { first, n_rows, n_columns, stride, of: PhantomData });
        };
        (0..rows.len() * columns.len()).into_par_iter().for_each_init(S::default, one);
    }
}

/// The end of the last range; panics where they overlap.
fn ascending(ranges: &[Range<usize>]) -> usize {
    ranges.iter().fold(0, |end, range| {
        assert!(end <= range.start && range.start <= range.end, "{ranges:?} overlap");
        range.end
    })
}

struct Start(*mut f32);

// SAFETY: it is only the place from which `for_each_block` measures out blocks that do not overlap.
unsafe impl Sync for Start {}

/// Some columns of some rows of a matrix, for one thread to write.
pub(in super::super) struct Block<'a> {
    first: *mut f32,
    n_rows: usize,
    n_columns: usize,
    stride: usize,
    of: PhantomData<&'a mut [f32]>,
}

impl<'a> Block<'a> {
    /// A block that is a matrix of its own: rows of `n_columns` elements.
    pub(in super::super) fn whole(data: &'a mut [f32], n_columns: usize) -> Self {
        let n_rows = data.len() / n_columns.max(1);
        Self { first: data.as_mut_ptr(), n_rows, n_columns, stride: n_columns, of: PhantomData }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(in super::super) fn n_columns(&self) -> usize {
        self.n_columns
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.first
    }

    /// One row.
    pub(in super::super) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.n_rows, "row {row} of {}", self.n_rows);
        // SAFETY: the row lies within the block, which is ours alone as long as `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride), self.n_columns) }
    }

    /// Some of its rows and columns.
    pub(in super::super) fn part(
        &mut self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Block<'_> {
        assert!(
            rows.start <= rows.end && rows.end <= self.n_rows,
            "rows {rows:?} of {}",
            self.n_rows
        );
        assert!(
            columns.start <= columns.end && columns.end <= self.n_columns,
            "columns {columns:?}"
        );
        let place = if rows.is_empty() { 0 } else { rows.start * self.stride + columns.start };
        // SAFETY: the place lies within the block; `self` stays borrowed while the part is used.
        let first = unsafe { self.first.add(place) };
        Block {
            first,
            n_rows: rows.len(),
            n_columns: columns.len(),
            stride: self.stride,
            of: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_written_once_where_it_lies() {
        let mut data = vec![0.0; 5 * 8];
        let (rows, columns) = ([0..2, 3..5], [0..3, 3..4, 6..7]);
        Grid::new(&mut data, 8).for_each_block(
            &rows,
            &columns,
            |_: &mut (), row, column, mut block| {
                for n in 0..block.n_rows() {
                    block.row(n).iter_mut().for_each(|x| *x += (1 + row * 3 + column) as f32);
                }
            },
        );
        let at = |row: usize| data[row * 8..row * 8 + 8].to_vec();
        assert_eq!(at(1), [1.0, 1.0, 1.0, 2.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!(at(2), [0.0; 8]);
        assert_eq!(at(4), [4.0, 4.0, 4.0, 5.0, 0.0, 0.0, 6.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn ranges_that_overlap_are_refused() {
        Grid::new(&mut [0.0; 8], 4).for_each_block(
            &[0..2, 1..2],
            &[0..1, 1..4],
            |_: &mut (), _, _, _| (),
        );
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn ranges_beyond_the_matrix_are_refused() {
        Grid::new(&mut [0.0; 7], 4).for_each_block(
            &[0..1, 1..2],
            &[0..1, 1..4],
            |_: &mut (), _, _, _| (),
        );
    }
}
