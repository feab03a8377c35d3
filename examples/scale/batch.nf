// A batch in Nextflow: one task for each part.
//
//   nextflow run examples/scale/batch.nf --inputs tickets.jsonl --crew triage.yaml --out out
//
// crew writes to one folder outside of Nextflow's work directories, so that a task that is retried
// continues where it stopped.
params.parts = 8

process part {
    errorStrategy { task.exitStatus in [75, 137, 143] ? 'retry' : 'finish' }
    maxRetries 20
    cpus 1
    memory 512.MB

    input:
    val k

    output:
    val k

    script:
    """
    crew batch run '${file(params.inputs)}' --out '${file(params.out)}' -c '${file(params.crew)}' \
        --partition ${k}/${params.parts}
    """
}

process merge {
    publishDir params.out

    input:
    val parts

    output:
    path 'merged.jsonl'

    script:
    """
    crew batch merge '${file(params.out)}' > merged.jsonl
    """
}

workflow {
    channel.of(1..params.parts) | part | collect | merge
}
