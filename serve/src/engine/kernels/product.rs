//! Matrix products against packed panels, tile by tile.
//!
//! A panel is `width` columns of the right matrix: for each row of it `width` adjacent elements, so
//! that it is read from front to back. A tile is a few rows of the left matrix times one panel, and
//! is kept in registers all the while: 12 rows by 32 columns with AVX-512, 6 by 16 with AVX2. Each
//! sum runs over its elements in their order whatever the tile's height, so a row's product does
//! not depend on its neighbours: a text has the same logits alone and in any batch, to the last
//! bit.
//! Source of the shape: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
//! §4, less the packing of the left side.
#![expect(
    unsafe_code,
    reason = "tiles read and write through pointers that come from checked slices, and run only where their instructions were detected"
)]

use super::grid::Block;

/// Elements of a cache line.
pub(in super::super) const LINE: usize = 16;

/// A cache line of a panel.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(in super::super) struct Line(pub(in super::super) [f32; LINE]);

/// The tallest tile of any instruction set.
const MAX_ROWS: usize = 12;
/// The widest one, in lines.
const MAX_LINES: usize = 2;

/// Rows of a matrix: `n_columns` adjacent elements each, `stride` apart.
#[derive(Clone, Copy)]
pub(in super::super) struct Rows<'a> {
    data: &'a [f32],
    n_rows: usize,
    n_columns: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    pub(in super::super) fn new(
        data: &'a [f32],
        n_rows: usize,
        n_columns: usize,
        stride: usize,
    ) -> Self {
        let last = n_rows.saturating_sub(1) * stride + n_columns;
        assert!(
            n_rows == 0 || data.len() >= last,
            "{n_rows} rows at a stride of {stride} need {last} elements"
        );
        Self { data, n_rows, n_columns, stride }
    }

    pub(in super::super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(in super::super) fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.stride..row * self.stride + self.n_columns]
    }

    /// Some of them.
    pub(in super::super) fn part(&self, rows: std::ops::Range<usize>) -> Self {
        Self::new(&self.data[rows.start * self.stride..], rows.len(), self.n_columns, self.stride)
    }
}

/// Computes `target = start + left · panel`.
/// `left`: `[rows of the tile, k]`, rows `left_stride` apart; `panel`: `[k, width]`; `start`:
/// `[width]`; `target`: rows `target_stride` apart.
type Tile = unsafe fn(
    k: usize,
    left: *const f32,
    left_stride: usize,
    panel: *const f32,
    start: *const f32,
    target: *mut f32,
    target_stride: usize,
);

/// The tiles of one instruction set.
#[derive(Clone, Copy)]
pub(in super::super) struct Isa {
    pub(in super::super) name: &'static str,
    /// By height, from one row on.
    tiles: &'static [Tile],
    /// Lines of a panel's row.
    n_lines: usize,
}

impl Isa {
    /// The best of this CPU.
    pub(in super::super) fn detect() -> Self {
        Self::all().into_iter().next().unwrap_or(PLAIN)
    }

    /// All that this CPU has, best first.
    pub(in super::super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected;
            let avx512 = is_x86_feature_detected!("avx512f").then_some(x86::AVX512);
            let avx2 = (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(x86::AVX2);
            [avx512, avx2, Some(PLAIN)].into_iter().flatten().collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![PLAIN]
    }

    /// Columns of a panel.
    pub(in super::super) fn width(&self) -> usize {
        self.n_lines * LINE
    }

    /// Lines of a panel's row.
    pub(in super::super) fn n_lines(&self) -> usize {
        self.n_lines
    }

    /// Splits rows into tiles of nearly the same height.
    pub(in super::super) fn tiles(
        &self,
        n_rows: usize,
    ) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let n_tiles = n_rows.div_ceil(self.tiles.len());
        (0..n_tiles).map(move |n| n * n_rows / n_tiles..(n + 1) * n_rows / n_tiles)
    }

    /// Computes `block = start + left · panel` for the rows of one tile.
    /// `start`: `[width]`; of the panel's columns the block takes as many as it has.
    pub(in super::super) fn multiply(
        self,
        left: Rows<'_>,
        panel: &[Line],
        start: &[f32],
        block: &mut Block<'_>,
    ) {
        let (n_rows, width) = (left.n_rows, self.width());
        assert!(
            (1..=self.tiles.len()).contains(&n_rows) && n_rows == block.n_rows(),
            "{n_rows} rows are no tile"
        );
        assert!(
            block.n_columns() <= width && start.len() == width,
            "the block is as wide as the panel at most"
        );
        assert_eq!(
            panel.len(),
            left.n_columns * self.n_lines,
            "the panel has a row for each element of a row"
        );
        let tile = self.tiles[n_rows - 1];
        let (k, data, stride) = (left.n_columns, left.data.as_ptr(), left.stride);
        let run = |target: *mut f32, target_stride: usize| {
            // SAFETY: the CPU has the instructions, or this table would not have been given out;
            // the left rows were checked by `Rows::new`, panel and start above; the target holds
            // `n_rows` rows of `width` elements.
            unsafe {
                tile(k, data, stride, panel.as_ptr().cast(), start.as_ptr(), target, target_stride)
            }
        };
        if block.n_columns() == width {
            run(block.as_mut_ptr(), block.stride());
            return;
        }
        let mut whole = [0.0; MAX_ROWS * MAX_LINES * LINE];
        run(whole.as_mut_ptr(), width);
        for (row, whole) in whole.chunks_exact(width).take(n_rows).enumerate() {
            let row = block.row(row);
            row.copy_from_slice(&whole[..row.len()]);
        }
    }
}

/// Plain Rust; vectors of whatever the target has at least.
const PLAIN: Isa =
    Isa { name: "plain", tiles: &[plain::<1>, plain::<2>, plain::<3>, plain::<4>], n_lines: 1 };

unsafe fn plain<const M: usize>(
    k: usize,
    left: *const f32,
    left_stride: usize,
    panel: *const f32,
    start: *const f32,
    target: *mut f32,
    target_stride: usize,
) {
    // SAFETY: the caller's promise, here and below: `start` has a line, each row of the panel has
    // one, each of the M left rows k elements.
    let mut sums = [unsafe { start.cast::<[f32; LINE]>().read_unaligned() }; M];
    for n in 0..k {
        // SAFETY: as above.
        let line = unsafe { panel.add(n * LINE).cast::<[f32; LINE]>().read_unaligned() };
        for (m, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let factor = unsafe { *left.add(m * left_stride + n) };
            for (sum, element) in sums.iter_mut().zip(line) {
                *sum += factor * element;
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        // SAFETY: the target has M rows of a line each.
        unsafe { target.add(m * target_stride).cast::<[f32; LINE]>().write_unaligned(*sums) };
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_prefetch, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
        _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    use super::{Isa, LINE};

    /// How many elements of a panel are asked for before they are needed: weights come from memory,
    /// and the processor by itself does not look beyond a page.
    const AHEAD: usize = 1024;

    /// Defines a tile of two vectors per row.
    macro_rules! tile {
        ($name:ident, $features:literal, $lanes:literal, $load:ident, $repeat:ident, $fma:ident, $store:ident) => {
            #[target_feature(enable = $features)]
            unsafe fn $name<const M: usize>(
                k: usize,
                left: *const f32,
                left_stride: usize,
                panel: *const f32,
                start: *const f32,
                target: *mut f32,
                target_stride: usize,
            ) {
                // SAFETY: the caller's promise: `start` has two vectors, and so has each of the k
                // rows of the panel and the M rows of the target; each of the M left rows has k
                // elements. `wrapping_add` makes pointers that are only used for rows below M.
                unsafe {
                    let first = [$load(start), $load(start.add($lanes))];
                    let mut sums = [first; M];
                    // Every third row has a pointer of its own; the two behind it are reached by
                    // the stride, which spares registers.
                    let rows: [*const f32; 4] =
                        std::array::from_fn(|n| left.wrapping_add(3 * n * left_stride));
                    for n in 0..k {
                        let ahead = panel.wrapping_add(n * 2 * $lanes + AHEAD);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                        if $lanes == LINE {
                            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add($lanes).cast());
                        }
                        let line = [
                            $load(panel.add(n * 2 * $lanes)),
                            $load(panel.add(n * 2 * $lanes + $lanes)),
                        ];
                        for m in 0..M {
                            let factor = $repeat(*rows[m / 3].add(m % 3 * left_stride + n));
                            sums[m][0] = $fma(factor, line[0], sums[m][0]);
                            sums[m][1] = $fma(factor, line[1], sums[m][1]);
                        }
                    }
                    for m in 0..M {
                        let row = target.add(m * target_stride);
                        $store(row, sums[m][0]);
                        $store(row.add($lanes), sums[m][1]);
                    }
                }
            }
        };
    }

    tile!(
        avx512,
        "avx512f",
        16,
        _mm512_loadu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_storeu_ps
    );
    tile!(avx2, "avx2,fma", 8, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);

    pub(super) const AVX512: Isa = Isa {
        name: "avx512",
        tiles: &[
            avx512::<1>,
            avx512::<2>,
            avx512::<3>,
            avx512::<4>,
            avx512::<5>,
            avx512::<6>,
            avx512::<7>,
            avx512::<8>,
            avx512::<9>,
            avx512::<10>,
            avx512::<11>,
            avx512::<12>,
        ],
        n_lines: 2,
    };

    pub(super) const AVX2: Isa = Isa {
        name: "avx2",
        tiles: &[avx2::<1>, avx2::<2>, avx2::<3>, avx2::<4>, avx2::<5>, avx2::<6>],
        n_lines: 1,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|n| ((n * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// Rows × panel in double precision.
    fn exact(
        left: Rows<'_>,
        panel: &[Line],
        n_lines: usize,
        start: &[f32],
        column: usize,
        row: usize,
    ) -> f64 {
        let element = |n: usize| f64::from(panel[n * n_lines + column / LINE].0[column % LINE]);
        let terms = left.row(row).iter().enumerate().map(|(n, x)| f64::from(*x) * element(n));
        f64::from(start[column]) + terms.sum::<f64>()
    }

    #[test]
    fn every_tile_of_every_instruction_set_multiplies() {
        for isa in Isa::all() {
            for (k, n_rows) in [(1, 1), (7, 5), (64, 12), (130, 13), (768, 50)] {
                let (stride, width) = (k + 3, isa.width());
                let data = numbers(n_rows * stride, 1);
                let left = Rows::new(&data, n_rows, k, stride);
                let panel: Vec<Line> =
                    numbers(k * width, 2).as_chunks().0.iter().map(|line| Line(*line)).collect();
                let start = numbers(width, 3);
                for n_columns in [1, width - 1, width] {
                    let mut target = vec![f32::NAN; n_rows * n_columns];
                    let mut block = Block::whole(&mut target, n_columns);
                    for tile in isa.tiles(n_rows) {
                        isa.multiply(
                            left.part(tile.clone()),
                            &panel,
                            &start,
                            &mut block.part(tile, 0..n_columns),
                        );
                    }
                    for (n, product) in target.iter().enumerate() {
                        let exact = exact(
                            left,
                            &panel,
                            isa.n_lines(),
                            &start,
                            n % n_columns,
                            n / n_columns,
                        );
                        assert!(
                            (f64::from(*product) - exact).abs() < 1e-4,
                            "{}: {product} is not {exact}",
                            isa.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for isa in Isa::all() {
            let (k, width) = (300, isa.width());
            let (data, start) = (numbers(29 * k, 1), numbers(width, 3));
            let panel: Vec<Line> =
                numbers(k * width, 2).as_chunks().0.iter().map(|line| Line(*line)).collect();
            let product = |first: usize, n_rows: usize| {
                let left = Rows::new(&data[first * k..], n_rows, k, k);
                let mut target = vec![0.0; n_rows * width];
                let mut block = Block::whole(&mut target, width);
                isa.tiles(n_rows).for_each(|tile| {
                    isa.multiply(
                        left.part(tile.clone()),
                        &panel,
                        &start,
                        &mut block.part(tile, 0..width),
                    );
                });
                target
            };
            let together = product(0, 29);
            for row in 0..29 {
                assert_eq!(
                    product(row, 1),
                    together[row * width..(row + 1) * width],
                    "{}: row {row}",
                    isa.name
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "need 24 elements")]
    fn rows_beyond_their_slice_are_refused() {
        Rows::new(&[0.0; 23], 3, 4, 10);
    }
}
