"""Results side by side, ranked together only where dataset, split, threshold, candidates, protocol and regime agree."""

from mmrec_core.analysis.comparison.results import (
    ARRAYS,
    NOT_RECORDED,
    YARDSTICKS,
    Key,
    Row,
    arrays,
    can_be_judged_like,
    find,
    keys,
    known_in_words,
    missing_oracles,
    missing_yardsticks,
    named,
    oracle_params,
    outdated,
    paired_with,
    read_arrays,
    rename,
    row_of,
    rows,
    usual_key,
    values,
    yardstick_params,
)
from mmrec_core.analysis.comparison.tables import (
    CLICK_SHOWN,
    KINDS,
    SHOWN,
    as_csv,
    as_latex,
    as_markdown,
    as_table,
    cell,
    compare,
    figure,
    pareto,
    shown_metrics,
)

__all__ = ["ARRAYS", "CLICK_SHOWN", "KINDS", "Key", "NOT_RECORDED", "Row", "SHOWN", "YARDSTICKS", "arrays", "as_csv", "as_latex", "as_markdown", "as_table", "can_be_judged_like", "cell", "compare", "figure", "find", "keys", "known_in_words", "missing_oracles", "missing_yardsticks", "named", "oracle_params", "outdated", "paired_with", "pareto", "read_arrays", "rename", "row_of", "rows", "shown_metrics", "usual_key", "values", "yardstick_params"]
