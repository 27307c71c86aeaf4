"""The verbs of the command line, a file each; this table is the only registry."""

from cellrec_jax.verbs import (
    adapt,
    check,
    convert,
    corrections,
    doctor,
    evaluate,
    export,
    models,
    predict,
    report,
    score,
    train,
)
from cellrec_jax.verbs.verb import Verb

VERBS: dict[str, Verb] = {
    one.name: one
    for one in (
        train.VERB,
        evaluate.VERB,
        predict.VERB,
        score.VERB,
        models.VERB,
        adapt.VERB,
        export.VERB,
        check.VERB,
        report.VERB,
        convert.VERB,
        corrections.VERB,
        doctor.VERB,
    )
}
