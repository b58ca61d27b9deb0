"""Spanish: charts, by their literal text."""

from __future__ import annotations

RUN = {
    "closed loop, {users} users": "bucle cerrado, {users} usuarios",
    "open loop, {rate} requests/s": "bucle abierto, {rate} solicitudes/s",
    "{n} users": "{n} usuarios",
    "TTFT against input tokens": "TTFT frente a tokens de entrada",
    "Each dot is a request; the line joins the medians of prompts of like length.": (
        "Cada punto es una solicitud; la línea une las medianas de los prompts de longitud parecida."
    ),
    "The median TTFT is {first} around {few} input tokens and {last} around {many}.": (
        "El TTFT mediano es {first} con unos {few} tokens de entrada y {last} con unos {many}."
    ),
    "ITL against requests in flight": "ITL frente a solicitudes en curso",
    "The median gap is {first} at {few} requests in flight and {last} at {many}.": (
        "El intervalo mediano es {first} con {few} solicitudes en curso y {last} con {many}."
    ),
    "No request has both a TTFT and a known number of input tokens.": (
        "Ninguna solicitud tiene a la vez TTFT y un número conocido de tokens de entrada."
    ),
    "SLO {limit}": "SLO {limit}",
    "{n} requests, too few for a line through their medians.": "{n} solicitudes, muy pocas para una línea de medianas.",
    "{n} of {of} requests are drawn: the extremes and the failures, the others by lot.": (
        "Se dibujan {n} de {of} solicitudes: las extremas y las fallidas, el resto por sorteo."
    ),
    "Request": "Solicitud",
    "Input tokens": "Tokens de entrada",
    "Time, s": "Tiempo, s",
    "● counted": "● contadas",
    "Input tokens, median": "Tokens de entrada, mediana",
    "TTFT, median, ms": "TTFT, mediana, ms",
    "No reply came in more than one piece, so there are no gaps.": (
        "Ninguna respuesta llegó en más de un fragmento: no hay intervalos."
    ),
    "Requests in flight": "Solicitudes en curso",
    "Gaps": "Intervalos",
    "● warm-up or drain": "● calentamiento o vaciado",
    "✕ failed, at the top edge": "✕ fallidas, en el borde superior",
    "— median": "— mediana",
    "Requests in flight, mean of the level": "Solicitudes en curso, media del nivel",
    "Latency distributions": "Distribuciones de latencia",
    "The height of a line is the share of samples at or below that latency: steep is steady, a long flat end is a "
    "slow tail. Every view has its own scale.": (
        "La altura de la línea es la proporción de muestras con esa latencia o menos: empinada es estable, un final "
        "largo y plano es una cola lenta. Cada panel tiene su escala."
    ),
    "{metric} of {n} samples: {figures}.": "{metric} de {n} muestras: {figures}.",
    "{n} samples": "{n} muestras",
    "No request has a measured latency.": "Ninguna solicitud tiene una latencia medida.",
    "Drawn through fewer points than samples; the smallest and the largest are kept.": (
        "Dibujado con menos puntos que muestras; se conservan la menor y la mayor."
    ),
    "Samples at or below": "Muestras en ese valor o menos",
    "max": "máx.",
    "Figure of the result": "Cifra del resultado",
    "SLO limit": "Límite del SLO",
    "Percentile ladder": "Escalera de percentiles",
    "Each point is a percentile, the bar through it its 95 % interval, the diamond the maximum. The scale is "
    "logarithmic: equal distances are equal ratios.": (
        "Cada punto es un percentil, la barra su intervalo del 95 %, el rombo el máximo. La escala es logarítmica: "
        "distancias iguales son razones iguales."
    ),
    "unknown": "desconocido",
    "{value} ms [{low}, {high}]": "{value} ms [{low}; {high}]",
    "withheld": "omitido",
    "{value} ms, at least {low}, open above": "{value} ms, al menos {low}, abierto por arriba",
    "at least {low}, open above": "al menos {low}, abierto por arriba",
    "too few samples: needs {n}": "muy pocas muestras: necesita {n}",
    "ms, logarithmic": "ms, logarítmica",
    "Value with its 95 % interval": "Valor con su intervalo del 95 %",
    "Samples": "Muestras",
    "Overview": "Resumen",
    "within the SLO": "dentro del SLO",
    "Where the time goes": "En qué se va el tiempo",
    "A request takes {total} on average.": "Una solicitud tarda {total} de media.",
    "Sent late": "Retraso de envío",
    "Connecting": "Conexión",
    "Queue in the server": "Cola en el servidor",
    "Prefill": "Prefill",
    "Stalls": "Pausas",
    "Streaming tokens": "Emisión de tokens",
    "Parts below 0.1 % are not drawn.": "Las partes por debajo del 0,1 % no se dibujan.",
    "Rest of TTFT": "Resto del TTFT",
    "To the first token": "Hasta el primer token",
    "Part": "Parte",
    "Mean, ms": "Media, ms",
    "Share of E2E": "Proporción del E2E",
    "{figure} ms": "{figure} ms",
    "Distributions and the course of the run need the recording.": (
        "Las distribuciones y el curso de la ejecución necesitan la grabación."
    ),
    "The window that counts: from, s": "La ventana que cuenta: desde, s",
    "to, s": "hasta, s",
    "Time since the start of the load, s": "Tiempo desde el inicio de la carga, s",
    "What the server told": "Lo que dijo el servidor",
    "As told by the server, its GPUs and this machine while the load ran, on the time axis of the run. A broken "
    "line is a time of which nobody told.": (
        "Según el servidor, sus GPU y esta máquina durante la carga, en el eje de tiempo de la ejecución. Una línea "
        "cortada es un tiempo del que nadie informó."
    ),
    "{name}: mean {mean}, at most {most} {unit}": "{name}: media {mean}, máximo {most} {unit}",
    "Nothing was watched beside the load, or nothing that was watched could be read.": (
        "No se observó nada junto a la carga, o no se pudo leer nada de lo observado."
    ),
    "{unit}/s": "{unit}/s",
    "Requests in the server": "Solicitudes en el servidor",
    "Caches, %": "Cachés, %",
    "GPUs, %": "GPU, %",
    "This machine, %": "Esta máquina, %",
    "{n} more series are not drawn.": "{n} series más no se dibujan.",
    "A stall is a gap between two tokens of {threshold} or more. {stalls} of {gaps} gaps are stalls, in {requests} "
    "of {of} requests.": (
        "Una pausa es un intervalo entre dos tokens de {threshold} o más. {stalls} de {gaps} intervalos son pausas, en "
        "{requests} de {of} solicitudes."
    ),
    "The longest gap took {gap} and ended {at} s after the start of the load.": (
        "El intervalo más largo duró {gap} y terminó {at} s después del inicio de la carga."
    ),
    "None: no gap between two tokens took {threshold} or more.": (
        "Ninguna: ningún intervalo entre dos tokens duró {threshold} o más."
    ),
    "··· a stall from {threshold}": "··· pausa a partir de {threshold}",
    "The {n} longest are drawn.": "Se dibujan las {n} más largas.",
    "Gap, ms": "Intervalo, ms",
    "Ended at, s": "Terminó en, s",
    "Before event": "Antes del evento",
    "Others within 10 ms": "Otras en 10 ms",
    "Caused by": "Causa",
    "● longest gaps": "● intervalos más largos",
    "the client, which read late": "el cliente, que leyó tarde",
    "not the client": "no es el cliente",
    "○ the client read late": "○ el cliente leyó tarde",
    "Limit": "Límite",
    "Over time": "En el tiempo",
    "The whole run in steps of {step} s. Shaded is the window that counts; before it is warm-up, after it drain.": (
        "Toda la ejecución en pasos de {step} s. Sombreada, la ventana que cuenta; antes, el calentamiento; después, "
        "el vaciado."
    ),
    "SLO {limit}, far above": "SLO {limit}, muy por encima",
    "sent": "enviadas",
    "at most {n}": "máximo {n}",
    "No request was sent.": "No se envió ninguna solicitud.",
    "Red marks are failures.": "Las marcas rojas son fallos.",
    "p50, ms": "p50, ms",
    "p99, ms": "p99, ms",
    "fastest, ms": "más rápida, ms",
    "slowest, ms": "más lenta, ms",
    "samples": "muestras",
    "Requests that failed": "Solicitudes fallidas",
    "sent/s": "enviadas/s",
    "completed/s": "completadas/s",
    "failed, requests": "fallidas, solicitudes",
    "At most {most} requests were in flight.": "Como máximo hubo {most} solicitudes en curso.",
    "{n} requests failed.": "Fallaron {n} solicitudes.",
    "The median TTFT of a step lies between {low} and {high}.": "El TTFT mediano de un paso está entre {low} y {high}.",
    "not known: nobody counted the tokens": "desconocido: nadie contó los tokens",
    "Gaps between tokens, by how many requests were in flight when they ended: what a fuller server costs a user.": (
        "Intervalos entre tokens, según cuántas solicitudes había en curso al terminar: lo que le cuesta a un usuario "
        "un servidor más lleno."
    ),
    "The number of requests in flight hardly varied: there is nothing to compare.": (
        "El número de solicitudes en curso apenas varió: no hay nada que comparar."
    ),
    "Every prompt has {n} tokens: there is nothing to compare.": (
        "Todos los prompts tienen {n} tokens: no hay nada que comparar."
    ),
    "{low} to {high}": "{low} a {high}",
    "SLO {limit}, far to the right": "SLO {limit}, muy a la derecha",
    "A request takes {total} on average: {before} of it until the first token, {after} from there to the last.": (
        "Una solicitud tarda {total} de media: {before} hasta el primer token, {after} de ahí al último."
    ),
    "No request has a measured time from start to end.": "Ninguna solicitud tiene un tiempo medido de principio a fin.",
    "Drag to move in time; Ctrl and the wheel to zoom; double click for the whole run.": (
        "Arrastrar para moverse en el tiempo; Ctrl y rueda para ampliar; doble clic para toda la ejecución."
    ),
    "The window that counts runs from {start} to {end} s.": "La ventana que cuenta va de {start} a {end} s.",
    "Pale bands reach from the fastest to the slowest of a step.": (
        "Las bandas pálidas van de la más rápida a la más lenta de cada paso."
    ),
    "band: min to max": "banda: de mín. a máx.",
}

COMPARISON = {
    "Change, points": "Cambio, puntos",
    "What changed from A to {side}": "Qué cambió de A a {side}",
    "Each mark is the change from A to {side}, its line the 95 % interval. Shaded: changes too small to matter.": (
        "Cada marca es el cambio de A a {side}; su línea, el intervalo del 95 %. Sombreado: cambios demasiado pequeños "
        "para importar."
    ),
    "Latency distributions, side by side": "Distribuciones de latencia, lado a lado",
    "The height of a line is the share of samples at or below that latency: a line further to the left is faster. "
    "Of a side of several runs the first is drawn.": (
        "La altura de la línea es la proporción de muestras con esa latencia o menos: más a la izquierda es más "
        "rápido. De un lado con varias ejecuciones se dibuja la primera."
    ),
    "Distributions of {names} for the sides {sides}.": "Distribuciones de {names} de los lados {sides}.",
    "no figure of both sides can be set against the other": (
        "ninguna cifra de un lado se puede contrastar con la del otro"
    ),
    "Change, %": "Cambio, %",
    "distributions need the recordings of the sides, with ok requests": (
        "las distribuciones necesitan las grabaciones de los lados, con solicitudes correctas"
    ),
    "the sides are not comparable": "los lados no son comparables",
    "Grey: the A/A noise, what two runs of the same thing differ by.": (
        "Gris: el ruido A/A, lo que difieren dos ejecuciones de lo mismo."
    ),
    "Why": "Por qué",
    "The sides count latencies from different moments: response and service time.": (
        "Los lados cuentan las latencias desde momentos distintos: tiempo de respuesta y de servicio."
    ),
    "Side": "Lado",
}

SWEEP = {
    "Load asked for, requests/s": "Carga pedida, solicitudes/s",
    "Load asked for, users": "Carga pedida, usuarios",
    "1 user": "1 usuario",
    "Up and to the right is better. On the line: stages that none beats in both. The grey ones are beaten, or not "
    "steady enough to be set beside the others.": (
        "Arriba y a la derecha es mejor. En la línea: las etapas que ninguna supera en ambas cosas. Las grises están "
        "superadas, o no son lo bastante estables para compararlas."
    ),
    "stage {number}": "etapa {number}",
    "{load} requests/s": "{load} solicitudes/s",
    "{load} users": "{load} usuarios",
    "From {tokens} tokens/s at {wait} ms to {more_tokens} tokens/s at {more_wait} ms.": (
        "De {tokens} tokens/s a {wait} ms hasta {more_tokens} tokens/s a {more_wait} ms."
    ),
    "holds at {low}, fails at {high}": "cumple a {low}, falla a {high}",
    "Solid: the median; dashed: p90; dotted: p99, each with its 95 % interval. A percentile is missing where a "
    "stage has too few requests to tell it.": (
        "Continua: la mediana; a trazos: p90; punteada: p99, cada una con su intervalo del 95 %. Falta un percentil "
        "donde una etapa tiene muy pocas solicitudes para darlo."
    ),
    "{title}: medians from {low} to {high} ms.": "{title}: medianas de {low} a {high} ms.",
    "Each mark is a stage, named by its load. Down and to the right is better: more tokens at a shorter wait.": (
        "Cada marca es una etapa, nombrada por su carga. Abajo y a la derecha es mejor: más tokens con menos espera."
    ),
    "{count} stages; attainment from {low} to {high}.": "{count} etapas; cumplimiento de {low} a {high}.",
    "no stage tells a share of requests that kept to the SLO": (
        "ninguna etapa da la proporción de solicitudes que cumplieron el SLO"
    ),
    "Goodput counts the requests that kept to every limit.": (
        "El goodput cuenta las solicitudes que cumplieron todos los límites."
    ),
    "Tokens/s a user": "Tokens/s por usuario",
    "no stage tells these figures": "ninguna etapa da estas cifras",
    "Stage": "Etapa",
    "Load": "Carga",
    "Verdict": "Veredicto",
    "Latency by load": "Latencia por carga",
    "Latency against throughput": "Latencia frente a caudal",
    "The limits of the SLO are drawn across.": "Los límites del SLO se trazan de lado a lado.",
    "Percentile": "Percentil",
    "The server by load": "El servidor por carga",
    "Means over each stage, as the server and its machine told them.": (
        "Medias de cada etapa, según el servidor y su máquina."
    ),
    "Means by load of: {names}.": "Medias por carga de: {names}.",
    "Running requests": "Solicitudes en ejecución",
    "Waiting requests": "Solicitudes en espera",
    "KV cache in use": "Caché KV en uso",
    "Preemptions/s": "Desalojos/s",
    "GPU use": "Uso de GPU",
    "GPU power, W": "Potencia de GPU, W",
    "Client CPU": "CPU del cliente",
    "CPU of the client's machine": "CPU de la máquina del cliente",
    "SLO attainment by load": "Cumplimiento del SLO por carga",
    "Each mark is a stage, its line the 95 % interval.": "Cada marca es una etapa; su línea, el intervalo del 95 %.",
    "How the search went": "Cómo fue la búsqueda",
    "The search doubles the load until it fails, then halves the gap. Each mark is a stage: a dot held the SLO, a "
    "cross did not, a diamond could not be told.": (
        "La búsqueda duplica la carga hasta que falla y luego parte el hueco por la mitad. Cada marca es una etapa: el "
        "punto cumplió el SLO, la cruz no, el rombo no se pudo decidir."
    ),
    "target {share}": "objetivo {share}",
    "holds": "cumple",
    "fails": "falla",
    "no stage of the search has a load": "ninguna etapa de la búsqueda tiene carga",
    "{count} held": "{count} cumplieron",
    "{count} failed": "{count} fallaron",
    "{count} undecided": "{count} sin decidir",
    "no SLO was given (--slo)": "no se dio ningún SLO (--slo)",
    "Shaded: between the highest load that holds the SLO and the lowest that does not.": (
        "Sombreado: entre la mayor carga que cumple el SLO y la menor que no."
    ),
    "Stage, in the order in which they ran": "Etapa, por orden de ejecución",
    "{count} stages with a load: {told}.": "{count} etapas con carga: {told}.",
    "grid": "rejilla",
    "one user alone": "un único usuario",
    "doubling": "duplicando",
    "halving the gap": "partiendo el hueco",
    "an end again": "un extremo otra vez",
    "likely between {low} and {high}": "probablemente entre {low} y {high}",
    "beside the limit": "junto al límite",
    "Near the target": "Cerca del objetivo",
    "Attainment, 95 % interval": "Cumplimiento, intervalo del 95 %",
    "Phase": "Fase",
    "Answer": "Respuesta",
    "Attainment": "Cumplimiento",
    "Finding": "Hallazgo",
    "Bracket": "Horquilla",
    "Throughput by load": "Caudal por carga",
    "One user against all: the Pareto front": "Un usuario frente a todos: el frente de Pareto",
    "Where the curve lies flat, more load brings no more work done.": (
        "Donde la curva es plana, más carga no rinde más trabajo."
    ),
    "Output tokens/s a GPU": "Tokens de salida/s por GPU",
    "Output tokens/s in total": "Tokens de salida/s en total",
    "Dashed: Gunther's Universal Scalability Law, fitted; it explains and decides nothing.": (
        "A trazos: la Ley Universal de Escalabilidad de Gunther, ajustada; explica y no decide nada."
    ),
    "The highest is {value} {unit}, at {load} (stage {number}).": (
        "El máximo es {value} {unit}, a {load} (etapa {number})."
    ),
    "completed": "completadas",
    "goodput": "goodput",
    "Tokens/s that one user sees (1 / median TPOT)": "Tokens/s que ve un usuario (1 / TPOT mediano)",
    "{count} of {all} stages are on the front.": "{count} de {all} etapas están en el frente.",
    "measured": "medido",
    "fitted law": "ley ajustada",
    "Output tokens/s, 95 % interval": "Tokens de salida/s, intervalo del 95 %",
    "Universal Scalability Law": "Ley Universal de Escalabilidad",
    "Requests/s, {kind}": "Solicitudes/s, {kind}",
}

CHARTS = {**RUN, **COMPARISON, **SWEEP}
