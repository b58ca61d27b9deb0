"""Spanish: notes and failures that a run writes into its recording."""

from __future__ import annotations

NOTES = {
    "worker {} could not write its data: {}": "el proceso {} no pudo escribir sus datos: {}",
    "the schedule ran out before the time did: give --requests with more than this run sent": (
        "el plan se agotó antes que el tiempo: dar --requests con más de las que envió esta ejecución"
    ),
    "the schedule ran out before the time did: most requests failed, and took no time": (
        "el plan se agotó antes que el tiempo: la mayoría de las solicitudes fallaron, y sin tardar nada"
    ),
    "exit status {}": "código de salida {}",
    "signal {} ({})": "señal {} ({=})",
    "worker {} died ({}); its requests since its last flush are lost": (
        "el proceso {} murió ({}); sus solicitudes desde el último volcado se perdieron"
    ),
    "the NVIDIA driver did not answer within {} s": "el controlador de NVIDIA no respondió en {} s",
    "nvidia-ml-py is not installed: pip install 'loadcell[gpu]'": (
        "nvidia-ml-py no está instalado: pip install 'loadcell[gpu]'"
    ),
    "GPU {} was not watched: {}": "no se observó la GPU {}: {}",
    "NVML: the driver knows no GPU": "NVML: el controlador no conoce ninguna GPU",
    "no GPU tells anything": "ninguna GPU informa de nada",
    "no GPU was watched: {}": "no se observó ninguna GPU: {}",
    "this machine": "esta máquina",
    "the page has more than {} values: those beyond were not recorded": (
        "la página tiene más de {} valores: los demás no se grabaron"
    ),
    "what went on beside the load was recorded in part only: {}": (
        "lo que ocurrió junto a la carga se grabó solo en parte: {}"
    ),
    "not back {} s after the load's end": "sin volver {} s después del final de la carga",
    "no answer within {} s": "sin respuesta en {} s",
    "no server metrics from {}: {}": "sin métricas del servidor de {=}: {}",
    "{}; where the server has a page, name it with --metrics-url (none: do not look)": (
        "{}; si el servidor tiene una página, nombrarla con --metrics-url (none: no mirar)"
    ),
    "HTTP status {}": "estado HTTP {}",
    "more than {} MiB": "más de {} MiB",
    "not a page in Prometheus' text format": "no es una página en el formato de texto de Prometheus",
    "not a page in Prometheus' text format, or cut short": (
        "no es una página en el formato de texto de Prometheus, o está cortada"
    ),
    "the server lists {} models ({}); {} was measured, see --model": (
        "el servidor lista {} modelos ({=}); se midió {=}, véase --model"
    ),
    "{} has the address {}, which was left out: {}": "{=} tiene la dirección {=}, que se dejó fuera: {}",
    "the host has {} addresses; connections went to each in turn: {}": (
        "el servidor tiene {} direcciones; las conexiones fueron a cada una por turno: {=}"
    ),
    "the server leaves its streams open after their end mark: every request opens a connection": (
        "el servidor deja abiertos sus flujos tras la marca de fin: cada solicitud abre una conexión"
    ),
    "the server closes the connection after each reply: every request opens its own": (
        "el servidor cierra la conexión tras cada respuesta: cada solicitud abre la suya"
    ),
    "the probe before the load failed ({}: {}); the load ran all the same": (
        "la sonda previa a la carga falló ({=}: {}); la carga se ejecutó igualmente"
    ),
    "the server refuses ignore_eos: outputs may be shorter than asked": (
        "el servidor rechaza ignore_eos: las salidas pueden ser más cortas de lo pedido"
    ),
    "the server refuses stream_options: it sends no usage": "el servidor rechaza stream_options: no envía el uso",
    "this platform has no kernel receive stamps: times were taken when the client read": (
        "esta plataforma no tiene marcas de recepción del núcleo: las horas se tomaron al leer el cliente"
    ),
    "a closed loop has no queue that could grow: stop_when_saturated has no meaning in it": (
        "un bucle cerrado no tiene cola que pueda crecer: stop_when_saturated no tiene sentido en él"
    ),
    "whether other loads ran on this machine cannot be told: {}": (
        "no se puede saber si hubo otras cargas en esta máquina: {}"
    ),
    "another load came from this machine at the same time (process, endpoint: {}): each takes cores, and perhaps the "
    "server, from the other": (
        "otra carga salió de esta máquina al mismo tiempo (proceso, punto de acceso: {}): cada una le quita a la otra "
        "núcleos, y quizá el servidor"
    ),
    "requests went through the proxy {} that the environment sets": (
        "las solicitudes pasaron por el proxy {=} que define el entorno"
    ),
    "prompts repeat: {} lines for {} requests; a prefix cache can answer repeats": (
        "los prompts se repiten: {} líneas para {} solicitudes; una caché de prefijos puede responder las repeticiones"
    ),
    "{} of {} lines of {} repeat an earlier one; a prefix cache can answer repeats": (
        "{} de {} líneas de {=} repiten una anterior; una caché de prefijos puede responder las repeticiones"
    ),
    "keys of {} that were not used: {}": "claves de {=} que no se usaron: {=}",
    "keys of {} that were sent with their prompts: {}": "claves de {=} que se enviaron con sus prompts: {=}",
    "keys of {} that settings of the run went before: {}": (
        "claves de {=} sobre las que prevalecieron ajustes de la ejecución: {=}"
    ),
    "{} conversations of {} were left out, for nobody asks anything in them": (
        "{} conversaciones de {=} se dejaron fuera, pues nadie pregunta nada en ellas"
    ),
    "{} of {} conversations of {} were sent without their last reply": (
        "{} de {} conversaciones de {=} se enviaron sin su última respuesta"
    ),
    "{} of {} lines of {} hold parts that are no text: input tokens as planned are those of the text alone": (
        "{} de {} líneas de {=} tienen partes que no son texto: los tokens de entrada planificados son los del texto "
        "solo"
    ),
    "repetitions send the same prompts of the file: a prefix cache can answer them": (
        "las repeticiones envían los mismos prompts del archivo: una caché de prefijos puede responderlos"
    ),
    "{} of {} prompts repeat: they are too short to be all different; a prefix cache can answer repeats": (
        "{} de {} prompts se repiten: son demasiado cortos para ser todos distintos; una caché de prefijos puede "
        "responder las repeticiones"
    ),
    "{} of {} prompts were to have fewer tokens than the server's chat template and one word have ({}): they are sent "
    "with one word": (
        "{} de {} prompts debían tener menos tokens que la plantilla del servidor y una palabra ({}): se envían con "
        "una palabra"
    ),
    "its usage tells no prompt tokens": "su uso no dice los tokens del prompt",
    "a second probe of {} words": "una segunda sonda de {} palabras",
    "a short probe": "una sonda corta",
    "{} got no answer ({})": "{} no obtuvo respuesta ({=})",
    "{} was refused with HTTP {}: {}": "{} fue rechazada con HTTP {}: {=}",
    "its usage tells {} prompt tokens for a probe, and {} for one of {} words": (
        "su uso dice {} tokens de prompt para una sonda, y {} para una de {} palabras"
    ),
    "the run ends after {} requests, should it get there": "la ejecución termina tras {} solicitudes, si llega",
}

ENDS = {
    "a load process died as it started": "un proceso de carga murió al arrancar",
    "the load did not begin": "la carga no empezó",
    "the request bodies could not be made: {}": "no se pudieron preparar los cuerpos de las solicitudes: {=}",
    "its process died ({})": "su proceso murió ({=})",
}

FAILURES = {
    "no connection was opened in {} s": "no se abrió ninguna conexión en {} s",
    "not open after {} s": "sin abrir tras {} s",
    "the server closed the connection without a reply": "el servidor cerró la conexión sin responder",
    "the proxy {} refused the tunnel: {}": "el proxy {=} rechazó el túnel: {}",
    "the proxy {} gave no answer to CONNECT": "el proxy {=} no respondió a CONNECT",
    "the server's certificate {} ({}): {}": "el certificado del servidor {} ({=}): {}",
    "the server's certificate is not trusted ({}): {}": "el certificado del servidor no es de confianza ({=}): {}",
    "has expired": "ha caducado",
    "renew it on the server, or measure with --no-verify-tls": "renovarlo en el servidor, o medir con --no-verify-tls",
    "is not valid yet": "aún no es válido",
    "set this machine's clock right, or measure with --no-verify-tls": (
        "poner en hora esta máquina, o medir con --no-verify-tls"
    ),
    "is for another name": "es para otro nombre",
    "use a name that it holds (--resolve NAME:PORT:ADDRESS), or --no-verify-tls": (
        "usar un nombre que contenga (--resolve NAME:PORT:ADDRESS), o --no-verify-tls"
    ),
    "is self-signed and not trusted": "está autofirmado y no es de confianza",
    "give it, or the authority that signed it, with --ca-file, or --no-verify-tls": (
        "darlo, o la autoridad que lo firmó, con --ca-file, o --no-verify-tls"
    ),
    "is not trusted, for nobody here knows who signed it": "no es de confianza: aquí nadie conoce a quien lo firmó",
    "give the authority that signed it with --ca-file, or --no-verify-tls": (
        "dar la autoridad que lo firmó con --ca-file, o --no-verify-tls"
    ),
    "was revoked": "fue revocado",
    "renew it on the server": "renovarlo en el servidor",
    "TLS failed ({}): {}": "falló TLS ({=}): {}",
    "the server speaks plain HTTP there: write http://, or name its port for https": (
        "el servidor habla HTTP sin cifrar ahí: escribir http://, o dar su puerto para https"
    ),
    "the server wants a client certificate: give --cert FILE and --key FILE": (
        "el servidor quiere un certificado de cliente: dar --cert FILE y --key FILE"
    ),
    "the server and this client have no version of TLS in common: let it take TLS 1.2 or 1.3": (
        "el servidor y este cliente no tienen versión de TLS en común: que acepte TLS 1.2 o 1.3"
    ),
    "the server does not accept the client certificate: give one that it trusts with --cert and --key": (
        "el servidor no acepta el certificado de cliente: dar uno en el que confíe con --cert y --key"
    ),
    "the server has no certificate for this name: use the one that it serves, as in --resolve NAME:PORT:ADDRESS": (
        "el servidor no tiene certificado para este nombre: usar el que sirve, como en --resolve NAME:PORT:ADDRESS"
    ),
    "the server does not speak HTTP/1.1 over TLS: let it take http/1.1 beside h2": (
        "el servidor no habla HTTP/1.1 sobre TLS: que acepte http/1.1 además de h2"
    ),
    "the server and this client have no cipher in common, or it wants a client certificate (--cert, --key)": (
        "el servidor y este cliente no tienen cifrado en común, o quiere un certificado de cliente (--cert, --key)"
    ),
    "the server hung up in the TLS handshake: see whether it speaks https on this port": (
        "el servidor colgó en la negociación TLS: mirar si habla https en este puerto"
    ),
    "TLS failed ({}): read the server's log for why": ("falló TLS ({=}): leer en el registro del servidor por qué"),
    "the proxy {} answers CONNECT with more than {} KiB": "el proxy {=} responde a CONNECT con más de {} KiB",
    "{} (nothing listens there: is the server running, and is the port right?)": (
        "{=} (ahí no escucha nadie: ¿está en marcha el servidor, y es correcto el puerto?)"
    ),
    "{} (every connection is a file: raise the hard limit with `ulimit -n`, or ask for less concurrency)": (
        "{=} (cada conexión es un archivo: subir el límite duro con `ulimit -n`, o pedir menos concurrencia)"
    ),
    "{} (this machine's limit of open files: raise it with `sysctl fs.file-max`, or lower the load)": (
        "{=} (límite de archivos abiertos de esta máquina: subirlo con `sysctl fs.file-max`, o bajar la carga)"
    ),
    "{} (no local port is free: widen `sysctl net.ipv4.ip_local_port_range`, open fewer new connections, or wait a "
    "minute for the ports of closed ones)": (
        "{=} (no hay puertos locales libres: ampliar `sysctl net.ipv4.ip_local_port_range`, abrir menos conexiones "
        "nuevas, o esperar un minuto a los puertos de las cerradas)"
    ),
    "the connection was lost before the reply: {}": "se perdió la conexión antes de la respuesta: {}",
    "no connection: {}": "sin conexión: {}",
    "not complete after {} s, after {} events": "incompleta tras {} s, después de {} eventos",
    "not complete after {} s, without any output": "incompleta tras {} s, sin ninguna salida",
    "what looked like the end of the reply was not its end": "lo que parecía el final de la respuesta no lo era",
    "the server sent bytes after the end of its reply": "el servidor envió bytes después del final de su respuesta",
    "the server sent more than one reply": "el servidor envió más de una respuesta",
    "the server switched to another protocol": "el servidor cambió a otro protocolo",
    "not an HTTP/1.1 reply: {}": "no es una respuesta HTTP/1.1: {=}",
    "headers of more than {} KiB": "cabeceras de más de {} KiB",
    "a reply of more than {} MiB or {} events": "una respuesta de más de {} MiB o {} eventos",
    "the connection ended inside the headers of the reply": (
        "la conexión terminó dentro de las cabeceras de la respuesta"
    ),
    "the connection ended before the reply did": "la conexión terminó antes que la respuesta",
    "an event of more than {} MiB": "un evento de más de {} MiB",
    "its reply took {} MiB, the most of those in the air, which took {} MiB: a load process has {} MiB for replies, "
    "half of it for these (--memory)": (
        "su respuesta ocupó {} MiB, la mayor de las que estaban en vuelo, que ocuparon {} MiB: un proceso de carga "
        "tiene {} MiB para respuestas, la mitad para estas (--memory)"
    ),
    "the server speaks TLS there: write https://": "el servidor habla TLS ahí: escribir https://",
    "the server speaks HTTP/2 alone there (gRPC?): name the port of its HTTP/1.1 API": (
        "el servidor solo habla HTTP/2 ahí (¿gRPC?): dar el puerto de su API HTTP/1.1"
    ),
    "the server speaks another protocol there ({}): check the URL's scheme and port": (
        "el servidor habla otro protocolo ahí ({=}): comprobar el esquema y el puerto de la URL"
    ),
    "not an HTTP/1.1 reply ({}): check the URL's scheme and port": (
        "no es una respuesta HTTP/1.1 ({=}): comprobar el esquema y el puerto de la URL"
    ),
    "HTTP_PROXY in capitals is not used, as in curl: a proxy for http:// is named by http_proxy": (
        "HTTP_PROXY en mayúsculas no se usa, como en curl: un proxy para http:// se nombra con http_proxy"
    ),
    "trailers of more than {} KiB": "campos finales de más de {} KiB",
    "{} bytes that are no text": "{} bytes que no son texto",
    "it redirects to {}, which is not followed": "redirige a {=}, lo que no se sigue",
    'the reply is an HTML page, "{}"': 'la respuesta es una página HTML, "{=}"',
    "the reply is empty": "la respuesta está vacía",
    "the reply is packed as {}, which nobody asked for and nobody here reads": (
        "la respuesta viene comprimida como {=}, lo que nadie pidió y aquí nadie lee"
    ),
    "the head says {}, the body is not: {}": "la cabecera dice {=}, el cuerpo no lo es: {=}",
    "one read unpacks to more than {} MiB": "una lectura se descomprime a más de {} MiB",
    "an event is not JSON: {}": "un evento no es JSON: {=}",
    "an event is not as the API says ({}): {}": "un evento no es como dice la API ({=}): {=}",
    "the server gave its output up: finish_reason {}": "el servidor abandonó su salida: finish_reason {=}",
    "the stream ended without a finish reason and without {}": "el flujo terminó sin motivo de fin y sin {=}",
    "the reply holds no output": "la respuesta no contiene salida",
    "{} (usage claims {} tokens)": "{} (el uso declara {} tokens)",
    "the reply is not JSON: {}": "la respuesta no es JSON: {=}",
    "the reply has no {}: {}": "la respuesta no tiene {=}: {=}",
}

LOAD = {**NOTES, **ENDS, **FAILURES}
