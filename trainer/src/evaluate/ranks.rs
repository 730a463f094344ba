//! Ranks, as statistics have them.

/// The rank of each value from 1; equal ones share the mean of theirs.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let is_equal = |n: &&usize| values[**n] == values[order[begin]];
        let end = begin + order[begin..].iter().take_while(is_equal).count();
        // The mean of begin + 1 to end.
        let mean = (begin + 1 + end) as f64 / 2.0;
        order[begin..end].iter().for_each(|n| ranks[*n] = mean);
        begin = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[-0.0, 0.0]), [1.5, 1.5]);
    }
}
