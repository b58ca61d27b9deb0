"""Spanish: the glossary and the names of quantities."""

from __future__ import annotations

GLOSSARY = {
    # titles
    "User rate": "Ritmo por usuario",
    "Requests": "Solicitudes",
    "Output": "Salida",
    "Input": "Entrada",
    "SLO attainment": "Cumplimiento del SLO",
    "Concurrency": "Concurrencia",
    "Send lateness": "Retraso de envío",
    "Read lag": "Demora de lectura",
    "Merged reads": "Lecturas fusionadas",
    "Chunks per token": "Fragmentos por token",
    "CPU per token": "CPU por token",
    # units
    "requests/s": "solicitudes/s",
    "requests": "solicitudes",
    "share": "proporción",
    "chunks/token": "fragmentos/token",
    # sources
    "recording: requests": "grabación: solicitudes",
    "recording: chunks": "grabación: fragmentos",
    "recording: requests; Yu et al., Orca, OSDI 2022": "grabación: solicitudes; Yu et al., Orca, OSDI 2022",
    "recording: chunks and requests": "grabación: fragmentos y solicitudes",
    "recording: requests and schedule; Wilson 1927": "grabación: solicitudes y plan; Wilson 1927",
    "recording: audits and requests": "grabación: auditorías y solicitudes",
    # formulas
    "t[i] - t[i-1] of successive output events of one request; all gaps of all ok requests pooled": (
        "t[i] - t[i-1] entre eventos de salida consecutivos de una solicitud; reúne todos los intervalos de todas las "
        "solicitudes correctas"
    ),
    "(last - first_any) / (output tokens - tokens that came with the first)": (
        "(last - first_any) / (tokens de salida - tokens que llegaron con el primero)"
    ),
    "(last - anchor) / output tokens": "(last - anchor) / tokens de salida",
    "1 / TPOT at each percentile of TPOT": "1 / TPOT en cada percentil de TPOT",
    "sum over ok requests of |life inside the window| / life, over the window; life = end - send_start": (
        "suma sobre las solicitudes correctas de |vida dentro de la ventana| / vida, entre la ventana; vida = end - "
        "send_start"
    ),
    "output tokens received inside the window / window": "tokens de salida recibidos en la ventana / ventana",
    "sum over ok requests of prompt tokens x |life inside the window| / life, over the window": (
        "suma sobre las solicitudes correctas de tokens de entrada x |vida dentro de la ventana| / vida, entre la "
        "ventana"
    ),
    "sum over the good requests, which kept to every limit, of |life inside the window| / life, over the window": (
        "suma sobre las solicitudes buenas, que cumplieron todos los límites, de |vida dentro de la ventana| / vida, "
        "entre la ventana"
    ),
    "good requests / planned requests of the window": "solicitudes buenas / solicitudes planificadas de la ventana",
    "integral of requests in flight / time, from the end of the ramp and warm-up to the start of the drain": (
        "integral de las solicitudes en curso / tiempo, desde el final de la rampa y el calentamiento hasta el inicio "
        "del vaciado"
    ),
    "send_start - planned (open loop) or - ready (closed loop)": (
        "send_start - planned (bucle abierto) o - ready (bucle cerrado)"
    ),
    "user time of a read - the kernel's receive stamp, once a read": (
        "hora de la lectura en el proceso - marca de recepción del núcleo, una por lectura"
    ),
    "events that the same read brought as the event before / events": (
        "eventos llegados en la misma lectura que el anterior / eventos"
    ),
    "output events / output tokens, over ok streamed requests of the window": (
        "eventos de salida / tokens de salida, de las solicitudes correctas en streaming de la ventana"
    ),
    "CPU time of all workers / output tokens of the whole run": (
        "tiempo de CPU de todos los procesos de carga / tokens de salida de toda la ejecución"
    ),
    # meanings, and what each cannot see
    "{} Response time starts at the planned time (open loop only), service time at the actual send.": (
        "{} El tiempo de respuesta cuenta desde la hora planificada (solo en bucle abierto); el de servicio, desde el "
        "envío real."
    ),
    "Time to first token: until the first event with any output (text, reasoning, tool call).": (
        "Tiempo hasta el primer token: hasta el primer evento con alguna salida (texto, razonamiento o llamada a "
        "herramienta)."
    ),
    "Whether the first token is of use to a reader: reasoning counts (see TTFA). A role or an empty event does not "
    "count. A reply that is not streamed has none.": (
        "Si el primer token le sirve a quien lee: el razonamiento cuenta (véase TTFA). Un rol o un evento vacío no "
        "cuentan. Una respuesta que no llega en streaming no lo tiene."
    ),
    "Time to first answer token: until the first event with visible content.": (
        "Tiempo hasta el primer token de respuesta: hasta el primer evento con contenido visible."
    ),
    "Reasoning that the server sends as content. A reply without visible content has none.": (
        "El razonamiento que el servidor envía como contenido. Una respuesta sin contenido visible no lo tiene."
    ),
    "Inter-token latency as gaps between received chunks, not divided by the tokens in a chunk. Gaps of one "
    "request share its pace and gaps of one moment share the server's step, so they are worth fewer independent "
    "ones, by how much the share of gaps beyond a percentile differs between requests and between batches of time. "
    "A stamp before the one it follows (clock noise) makes a gap of 0 and is counted.": (
        "Latencia entre tokens: intervalos entre fragmentos recibidos, sin dividir por los tokens del fragmento. Los "
        "intervalos de una solicitud comparten su ritmo y los de un mismo momento, el paso del servidor; por eso "
        "equivalen a menos muestras independientes, según cuánto varíe entre solicitudes y entre tramos de tiempo la "
        "proporción que supera un percentil. Una marca anterior a la que sigue (ruido del reloj) da un intervalo de 0 "
        "y se cuenta."
    ),
    "A chunk is not a token: where the server bundles tokens, gaps are longer and fewer than tokens. Long outputs "
    "weigh more. Events that one read brought share a stamp: their gap is 0 (see merged reads).": (
        "Un fragmento no es un token: si el servidor agrupa tokens, los intervalos son más largos y menos que los "
        "tokens. Las salidas largas pesan más. Los eventos de una misma lectura comparten la marca: su intervalo es 0 "
        "(véase lecturas fusionadas)."
    ),
    "Time per output token of one request after its first output. What came together with the first (one read, or "
    "gaps far below the reply's own) came at its time: as many tokens as the server tells, else their share; of a "
    "first event alone that is smaller than the others, 1. TTFT + TPOT x (output tokens - tokens that came with the "
    "first) = E2E, to the nanosecond. Where something collects the stream into bursts, TPOT runs to the last burst "
    "but one: the last is cut short.": (
        "Tiempo por token de salida de una solicitud después de su primera salida. Lo que llegó junto con la primera "
        "(una lectura, o intervalos muy por debajo de los de la respuesta) llegó en su momento: tantos tokens como "
        "dice el servidor, si no su parte; de un primer evento solo y menor que los demás, 1. TTFT + TPOT x (tokens "
        "de salida - tokens que llegaron con el primero) = E2E, al nanosegundo. Si algo acumula el flujo en ráfagas, "
        "el TPOT va hasta la penúltima: la última queda cortada."
    ),
    "Stalls inside a request: it is a mean. A request without a token after its first output, or not streamed, has "
    "none. If the first event held more tokens than its size tells, TPOT reads low.": (
        "Las pausas dentro de una solicitud: es una media. Una solicitud sin tokens tras la primera salida, o sin "
        "streaming, no lo tiene. Si el primer evento traía más tokens de los que indica su tamaño, el TPOT sale bajo."
    ),
    "Normalized time per output token: the whole latency per token, waiting included.": (
        "Tiempo normalizado por token de salida: toda la latencia por token, espera incluida."
    ),
    "Where the time went: a long wait and a slow stream look alike. Short outputs read high.": (
        "En qué se fue el tiempo: una espera larga y un flujo lento se parecen. Con salidas cortas sale alto."
    ),
    "End-to-end latency: until the last event with output. Response time starts at the planned time (open loop "
    "only), service time at the actual send. Of a reply that is not streamed, until the read that completed its "
    "body.": (
        "Latencia de extremo a extremo: hasta el último evento con salida. El tiempo de respuesta cuenta desde la hora "
        "planificada (solo en bucle abierto); el de servicio, desde el envío real. Si la respuesta no llega en "
        "streaming, hasta la lectura que completó el cuerpo."
    ),
    "What follows the output: finish reason, usage and the end of the stream. It grows with the output length.": (
        "Lo que sigue a la salida: motivo de fin, uso y cierre del flujo. Crece con la longitud de la salida."
    ),
    "Interactivity: the rate at which one user receives tokens after the first chunk. Percentiles are from the "
    "slow end: p99 is the rate that 99 % of the requests reach.": (
        "Interactividad: ritmo al que un usuario recibe tokens tras el primer fragmento. Los percentiles van desde el "
        "extremo lento: p99 es el ritmo que alcanza el 99 % de las solicitudes."
    ),
    "The wait for the first token. It is not the mean of the users' rates.": (
        "La espera hasta el primer token. No es la media de los ritmos de los usuarios."
    ),
    "Requests per second, each counted by the part of its life inside the window, so that answers that come in bursts "
    "have no edge: requests/s x mean life = mean in flight, over any window (Little's law). In a closed loop the "
    "window of rates is where all users are at work, from one TTFT after the ramp at the earliest to the end of "
    "sending; in an open loop too short for a warm-up to be found, from one E2E after its ramp to the end of sending, "
    "whole gaps apart, so that N requests have N - 1 gaps. Where a queue grows, may do so in so few requests, or "
    "requests were given up, those count that ended inside. The interval is Student's t over the means of 20 batches "
    "of time, wider where neighbouring batches are alike, and at least what the lives' own differences ask for; there "
    "is none below 40 requests.": (
        "Solicitudes por segundo, cada una contada por la parte de su vida dentro de la ventana, de modo que las "
        "respuestas que llegan en ráfagas no tienen borde: solicitudes/s x vida media = media en curso, en cualquier "
        "ventana (ley de Little). En bucle cerrado la ventana de las tasas es donde trabajan todos los usuarios, como "
        "pronto desde un TTFT tras la rampa hasta el final del envío; en un bucle abierto demasiado corto para hallar "
        "un calentamiento, desde un E2E tras su rampa hasta el final del envío, a intervalos enteros, de modo que N "
        "solicitudes tienen N - 1 intervalos. Donde crece una cola, o puede crecer con tan pocas, o se abandonaron "
        "solicitudes, cuentan las que terminaron dentro. El intervalo es la t de Student sobre las medias de 20 tramos "
        "de tiempo, más ancho si los tramos vecinos se parecen, y al menos el que piden las diferencias entre las "
        "vidas; no lo hay por debajo de 40 solicitudes."
    ),
    "How a request's work is spread over its life. Failures: they are counted apart.": (
        "Cómo se reparte el trabajo de una solicitud en su vida. Los fallos: se cuentan aparte."
    ),
    "Tokens by the stamp of the event that brought them; those of failed requests are told apart. Where an event does "
    "not tell its tokens, those of its request are spread evenly over its output events; those of a reply that is not "
    "streamed count at the read that completed it. The interval is Student's t over the means of 20 batches of time.": (
        "Tokens según la marca del evento que los trajo; los de las solicitudes fallidas se dicen aparte. Si un evento "
        "no dice sus tokens, los de la solicitud se reparten por igual entre sus eventos de salida; los de una "
        "respuesta sin streaming cuentan en la lectura que la completó. El intervalo es la t de Student sobre las "
        "medias de 20 tramos de tiempo."
    ),
    "Whether the tokens were of use, or in time (see goodput). Requests that never ended, or whose tokens nobody "
    "counted, add nothing.": (
        "Si los tokens sirvieron o llegaron a tiempo (véase goodput). Las solicitudes que no terminaron, o cuyos "
        "tokens nadie contó, no suman."
    ),
    "Prompts processed per second, counted as requests/s counts requests. Tokens by the server's usage, else as "
    "planned; the methodology counts both.": (
        "Tokens de entrada procesados por segundo, contados como solicitudes/s cuenta las solicitudes; según el uso "
        "que declara el servidor o, si falta, lo planificado; la metodología cuenta ambos."
    ),
    "Tokens that the server took from its cache: they count too. When in its life a prompt was processed.": (
        "Los tokens que el servidor tomó de su caché: también cuentan. En qué momento de su vida se procesó un prompt."
    ),
    "Good requests per second, counted as requests/s counts them, so never more than these. Limits are on response "
    "time in an open loop, on service time in a closed one. A limit that a request cannot break is kept: TPOT where no "
    "token follows the first output.": (
        "Solicitudes buenas por segundo, contadas como cuenta solicitudes/s, así que nunca más que estas. Los límites "
        "se aplican al tiempo de respuesta en bucle abierto y al de servicio en bucle cerrado. Un límite que una "
        "solicitud no puede incumplir se da por cumplido: TPOT si no hay tokens tras la primera salida."
    ),
    "By how much a limit was missed, and stalls that a mean such as TPOT hides.": (
        "Por cuánto se incumplió un límite, y las pausas que una media como TPOT oculta."
    ),
    "Failed, cancelled, lost and unsent requests are misses. The interval is Wilson's, at 95 %, of as many "
    "independent requests as these are worth: misses that come in runs widen it. A limit that ok replies do not "
    "show (TTFT of a reply that is not streamed) cannot be judged, and then neither can the whole. In a closed "
    "loop lost and unsent requests have no time: they count unless the window is chosen by hand.": (
        "Las solicitudes fallidas, canceladas, perdidas y no enviadas son incumplimientos. El intervalo es el de "
        "Wilson, al 95 %, sobre tantas solicitudes independientes como valen estas: los incumplimientos en rachas lo "
        "ensanchan. Un límite que las respuestas correctas no muestran (el TTFT de una respuesta sin streaming) no se "
        "puede juzgar, y entonces tampoco el conjunto. En bucle cerrado las perdidas y no enviadas no tienen hora: "
        "cuentan salvo que la ventana se elija a mano."
    ),
    "Dependence between requests that is too weak or too long for the sample to show it.": (
        "La dependencia entre solicitudes demasiado débil o demasiado larga para que la muestra la revele."
    ),
    "Time-weighted requests between send and end, of all that were sent, failed ones and those beyond the end too. The "
    "drain starts at the end of the duration asked for, or with the first reply after the last send.": (
        "Solicitudes entre envío y final, ponderadas por tiempo, de todas las enviadas, también las fallidas y las "
        "posteriores al final. El vaciado empieza al acabar la duración pedida, o con la primera respuesta tras el "
        "último envío."
    ),
    "Requests that were lost with their worker, and what the server does with those in flight (queue or run).": (
        "Las solicitudes perdidas con su proceso, y qué hace el servidor con las que están en curso (en cola o en "
        "ejecución)."
    ),
    "The load generator's own delay; negative is early. Response time contains it, service time does not.": (
        "Retraso propio del generador de carga; negativo es adelanto. El tiempo de respuesta lo incluye; el de "
        "servicio, no."
    ),
    "Its cause: in an open loop with a cap on concurrency it contains the wait for a free slot.": (
        "Su causa: en un bucle abierto con tope de concurrencia incluye la espera de un hueco libre."
    ),
    "How late the client came to read. Stamps are corrected by it; a client without kernel stamps would add it to "
    "every latency. To one part in 65,536.": (
        "Cuánto tardó el cliente en leer. Las marcas se corrigen con ella; un cliente sin marcas del núcleo la sumaría "
        "a cada latencia. Con resolución de una parte en 65\u202f536."
    ),
    "Delay before the kernel's stamp: network card, interrupt, and all of it where there are no kernel stamps.": (
        "La demora anterior a la marca del núcleo: tarjeta de red, interrupción, y toda ella si no hay marcas del "
        "núcleo."
    ),
    "Merged events share one stamp. If the read was more than 1 ms late the client merged them, a defect of the "
    "run; else the server or the network did, a property of the system.": (
        "Los eventos fusionados comparten una marca. Si la lectura llegó más de 1 ms tarde los fusionó el cliente: un "
        "defecto de la ejecución; si no, el servidor o la red: una propiedad del sistema."
    ),
    "Events that the server had already put into one.": "Los eventos que el servidor ya había unido en uno.",
    "1 where every token comes in an event of its own; below 1 the server bundles tokens, and ITL is not a time "
    "per token.": (
        "1 si cada token llega en su propio evento; por debajo de 1 el servidor agrupa tokens, y el ITL no es un "
        "tiempo por token."
    ),
    "How bundles are distributed within a request.": "Cómo se reparten los grupos dentro de una solicitud.",
    "What the load generator itself costs.": "Lo que cuesta el propio generador de carga.",
    "The main process, and the kernel's work outside the workers' time.": (
        "El proceso principal, y el trabajo del núcleo fuera del tiempo de los procesos de carga."
    ),
}
