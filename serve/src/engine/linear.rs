//! Linear layers, their weights packed into panels while they are loaded.

use std::ops::Range;

use checkpoint::{Activation, Tensor, Tensors};
use rayon::prelude::*;

use super::kernels::{Block, Grid, Isa, LINE, Line, Rows, activate};
use super::model::tensor;

/// One linear layer, or several side by side that read the same input.
pub(super) struct Linear {
    isa: Isa,
    panels: Vec<Panel>,
    n_in: usize,
    /// Outputs of each of the layers side by side.
    n_out: usize,
}

/// Adjacent outputs of one layer.
struct Panel {
    /// `[n_in, isa.width()]`, zeros behind the last output.
    lines: Vec<Line>,
    /// `[isa.width()]`
    bias: Vec<f32>,
    /// Its place among all outputs.
    columns: Range<usize>,
}

/// What is done to the outputs while they are still in the cache.
#[derive(Clone, Copy)]
pub(super) enum Then {
    Nothing,
    Apply(Activation),
}

impl Linear {
    /// Loads `{name}.weight` of each name, and `{name}.bias` where there is one. `n_out` is of each
    /// layer.
    pub(super) fn load(
        isa: Isa,
        tensors: &Tensors,
        names: &[&str],
        n_in: usize,
        n_out: usize,
    ) -> Self {
        let sources = names.iter().map(|name| Source::of(tensors, name, 0..n_out)).collect();
        Self::pack(isa, sources, n_in, n_out)
    }

    /// Loads one tensor that holds several layers, one below the other.
    pub(super) fn load_divided(
        isa: Isa,
        tensors: &Tensors,
        name: &str,
        n_layers: usize,
        n_in: usize,
        n_out: usize,
    ) -> Self {
        let rows = (0..n_layers).map(|n| n * n_out..(n + 1) * n_out);
        Self::pack(isa, rows.map(|rows| Source::of(tensors, name, rows)).collect(), n_in, n_out)
    }

    fn pack(isa: Isa, sources: Vec<Source>, n_in: usize, n_out: usize) -> Self {
        let per_layer = n_out.div_ceil(isa.width());
        let panel = |n: usize| {
            let (layer, first) = (n / per_layer, n % per_layer * isa.width());
            let outputs = first..n_out.min(first + isa.width());
            let mut bias = vec![0.0; isa.width()];
            bias[..outputs.len()].copy_from_slice(&sources[layer].bias[outputs.clone()]);
            let Source { weight, first, .. } = &sources[layer];
            let rows = first + outputs.start..first + outputs.end;
            let lines = pack(weight, rows, n_in, isa.n_lines());
            Panel {
                lines,
                bias,
                columns: layer * n_out + outputs.start..layer * n_out + outputs.end,
            }
        };
        Self {
            isa,
            panels: (0..sources.len() * per_layer).into_par_iter().map(panel).collect(),
            n_in,
            n_out,
        }
    }

    /// Applies all layers.
    /// `input`: `[any, n_in]`; `output` becomes `[any, layers · n_out]`, its rows `stride` apart.
    pub(super) fn apply(&self, input: Rows<'_>, output: &mut Vec<f32>, stride: usize, then: Then) {
        self.apply_panels(&self.panels, input, output, stride, then);
    }

    /// Applies only some of the layers side by side; their outputs move to the front.
    /// `input`: `[any, n_in]`; `output` becomes `[any, layers.len() · n_out]`.
    pub(super) fn apply_layers(
        &self,
        layers: Range<usize>,
        input: Rows<'_>,
        output: &mut Vec<f32>,
    ) {
        let per_layer = self.n_out.div_ceil(self.isa.width());
        let panels = &self.panels[layers.start * per_layer..layers.end * per_layer];
        self.apply_panels(panels, input, output, layers.len() * self.n_out, Then::Nothing);
    }

    fn apply_panels(
        &self,
        panels: &[Panel],
        input: Rows<'_>,
        output: &mut Vec<f32>,
        stride: usize,
        then: Then,
    ) {
        let (isa, n_rows, first) =
            (self.isa, input.n_rows(), panels.first().map_or(0, |panel| panel.columns.start));
        output.resize(n_rows * stride, 0.0);
        let columns: Vec<_> = panels
            .iter()
            .map(|panel| panel.columns.start - first..panel.columns.end - first)
            .collect();
        let work = |_: &mut (), _, panel: usize, mut block: Block<'_>| {
            let Panel { lines, bias, .. } = &panels[panel];
            let width = block.n_columns();
            for tile in isa.tiles(n_rows) {
                let mut target = block.part(tile.clone(), 0..width);
                isa.multiply(input.part(tile.clone()), lines, bias, &mut target);
                if let Then::Apply(activation) = then {
                    (0..tile.len()).for_each(|row| activate(target.row(row), activation));
                }
            }
        };
        Grid::new(output, stride).for_each_block(
            std::slice::from_ref(&(0..n_rows)),
            &columns,
            work,
        );
    }

    /// Outputs of each layer.
    pub(super) fn n_out(&self) -> usize {
        self.n_out
    }

    /// Elements of a row of the input.
    pub(super) fn n_in(&self) -> usize {
        self.n_in
    }
}

/// One layer in its file: some rows of a tensor.
struct Source {
    weight: Tensor,
    first: usize,
    bias: Vec<f32>,
}

impl Source {
    fn of(tensors: &Tensors, name: &str, rows: Range<usize>) -> Self {
        let mut bias = vec![0.0; rows.len()];
        if let Some(tensor) = tensors.get(&format!("{name}.bias")) {
            tensor.read(rows.start, &mut bias);
        }
        Self { weight: tensor(tensors, &format!("{name}.weight")), first: rows.start, bias }
    }
}

/// Packs the weights of some outputs, which torch keeps as `[n_out, n_in]`, input by input.
fn pack(weight: &Tensor, outputs: Range<usize>, n_in: usize, n_lines: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(n_in * n_lines);
    let mut square = vec![[0.0; LINE]; n_lines * LINE];
    for first in (0..n_in).step_by(LINE) {
        let n_inputs = LINE.min(n_in - first);
        for (row, output) in square.iter_mut().zip(outputs.clone()) {
            weight.read(output * n_in + first, &mut row[..n_inputs]);
        }
        for input in 0..n_inputs {
            let (groups, _) = square.as_chunks::<LINE>();
            lines.extend(groups.iter().map(|group| Line(std::array::from_fn(|n| group[n][input]))));
        }
    }
    lines
}
