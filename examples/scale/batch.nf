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
    val parts
    val inputs
    val crew
    val out

    output:
    val k

    script:
    """
    crew batch run '${inputs}' --out '${out}' -c '${crew}' --partition ${k}/${parts}
    """
}

process merge {
    publishDir { out }, mode: 'copy'

    input:
    val parts
    val out

    output:
    path 'merged.jsonl'

    script:
    """
    crew batch merge '${out}' > merged.jsonl
    """
}

workflow {
    parts = params.parts as Integer // from the command line it is text
    out = file(params.out)
    part(channel.of(1..parts), parts, file(params.inputs), file(params.crew), out)
    merge(part.out.collect(), out)
}
