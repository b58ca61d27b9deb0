"""Spanish: what a Result says of its run: audit, verdict, window and accounts."""

from __future__ import annotations

CHECKS = {
    # advice
    "use --workers {} or halve the {}": "usar --workers {} o reducir a la mitad la {}",
    "halve the {}, or load from a machine with more cores": (
        "reducir a la mitad la {}, o cargar desde una máquina con más núcleos"
    ),
    "rate": "tasa",
    "concurrency": "concurrencia",
    "the client has little to do, so keep other work off this machine and run again": (
        "el cliente tiene poco que hacer: quitar otros trabajos de esta máquina y repetir"
    ),
    "run again": "repetir la ejecución",
    "its figures are of the part that ran": "las cifras son de la parte ejecutada",
    "users whose requests failed were not in flight: see the errors": (
        "los usuarios cuyas solicitudes fallaron no estaban en curso: véanse los errores"
    ),
    "give more --requests, so that ramp and drain weigh less": (
        "use más --requests, para que la rampa y el vaciado pesen menos"
    ),
    "the cap on concurrency held requests back, and response times hold what they waited: raise --concurrency, or "
    "lower --rate": (
        "el tope de concurrencia retuvo solicitudes, y los tiempos de respuesta incluyen esa espera: suba "
        "--concurrency, o baje --rate"
    ),
    "users waited for their requests to be made: see how many were sent late for that": (
        "los usuarios esperaron a que se hicieran sus solicitudes: ver cuántas se enviaron tarde por ello"
    ),
    "give a longer --duration, so that ramp and drain weigh less": (
        "dar un --duration más largo, para que la rampa y el vaciado pesen menos"
    ),
    "measure from Linux, where the kernel stamps every read": "medir desde Linux, donde el núcleo marca cada lectura",
    "let the clock settle (NTP), then run again": "dejar que el reloj se estabilice (NTP) y repetir",
    "keep other work off this machine and run again": "quitar otros trabajos de esta máquina y repetir",
    "keep other work off this machine, or off the cores of the load": (
        "quitar otros trabajos de esta máquina, o de los núcleos de la carga"
    ),
    "use a machine whose cores are its own": "usar una máquina con núcleos propios",
    "connections of failed requests are closed here, the server closed few: look at the failures first": (
        "las conexiones de solicitudes fallidas se cierran aquí, el servidor cerró pocas: mirar primero los fallos"
    ),
    "response times include the connect; the server closed few, more were in flight than ever before: leave the "
    "first ones out with --warmup": (
        "los tiempos de respuesta incluyen la conexión; el servidor cerró pocas, había más en vuelo que nunca: dejar "
        "fuera las primeras con --warmup"
    ),
    "no latency includes their connect; the server closed few, they opened as users began: give a longer --duration": (
        "ninguna latencia incluye su conexión; el servidor cerró pocas, se abrieron al empezar los usuarios: dar una "
        "--duration más larga"
    ),
    "response times include the connect: leave the first ones out with --warmup, or look why the server closes them": (
        "los tiempos de respuesta incluyen la conexión: dejar fuera las primeras con --warmup, o mirar por qué el "
        "servidor las cierra"
    ),
    "no latency includes their connect, it lies between a user's requests: give a longer --duration, or look why the "
    "server closes them": (
        "ninguna latencia incluye su conexión, que queda entre las solicitudes de un usuario: dar un --duration más "
        "largo, o mirar por qué el servidor las cierra"
    ),
    "rates and latencies are of few rounds: give {}": "las tasas y latencias son de pocas rondas: dar {}",
    "a longer --duration": "un --duration más largo",
    "latencies are in part of an emptying server: give more --requests or a longer --duration": (
        "las latencias son en parte de un servidor que se vacía: dar más --requests o un --duration más largo"
    ),
    "give the container more CPU (cpu.max), or lower the load": (
        "dar más CPU al contenedor (cpu.max), o bajar la carga"
    ),
    "the client makes them more slowly than the load sends them: use shorter prompts or a prompt file, or load from a "
    "machine with more cores": (
        "el cliente las hace más despacio de lo que la carga las envía: usar prompts más cortos o un archivo de "
        "prompts, o cargar desde una máquina con más núcleos"
    ),
    "raise ulimit -n and net.ipv4.ip_local_port_range, or lower the load": (
        "subir ulimit -n y net.ipv4.ip_local_port_range, o bajar la carga"
    ),
    "set NO_PROXY to measure the server itself": "definir NO_PROXY para medir el propio servidor",
    "per-token figures cannot be trusted: look at what the server counts": (
        "las cifras por token no son fiables: mirar qué cuenta el servidor"
    ),
    "the work is not the one planned: see why the server stops early (context length, stop words)": (
        "el trabajo no es el planificado: ver por qué el servidor para antes (longitud de contexto, palabras de parada)"
    ),
    "the server does not keep to the limit on tokens: see which field it reads": (
        "el servidor no respeta el límite de tokens: ver qué campo lee"
    ),
    "prompts that it knows are answered faster: leave out --salt, or give another, or restart the server": (
        "los prompts que ya conoce se responden más rápido: no dar --salt, o dar otra, o reiniciar el servidor"
    ),
    "see the errors": "véanse los errores",
    "the client itself stood still: see its stall": "el propio cliente se detuvo: véase su parada",
    "the server cannot keep up: lower the rate": "el servidor no da abasto: bajar la tasa",
    # findings
    "planned = ok + failed + cancelled + unsent": "planificadas = correctas + fallidas + canceladas + no enviadas",
    "the instrument's own counters are missing: nothing says how good it was": (
        "faltan los contadores del propio instrumento: nada dice lo bueno que fue"
    ),
    "sends wait for the cap on concurrency: lateness is not the instrument's": (
        "los envíos esperan al tope de concurrencia: el retraso no es del instrumento"
    ),
    "sends late by {} at {}": "envíos con {} de retraso ({})",
    "client late or early by more than 1 ms, and more than 1 % of TTFT, on {} of sends": (
        "cliente atrasado o adelantado más de 1 ms, y más del 1 % de TTFT, en {} de los envíos"
    ),
    "the run ended early": "la ejecución acabó antes de tiempo",
    "the run ended early: {} planned requests were left": (
        "la ejecución acabó antes de tiempo: quedaron {} solicitudes planificadas"
    ),
    "{} planned requests were never sent": "{} solicitudes planificadas nunca se enviaron",
    "{} requests/s sent in the window for {} planned": "{} solicitudes/s enviadas en la ventana, {} planificadas",
    "the load was not the one asked for: {}": "la carga no fue la pedida: {}",
    "concurrency: users wait for each other, so not all are in flight": (
        "concurrencia: los usuarios se esperan unos a otros, así que no todos están en curso"
    ),
    "concurrency: everything is sent at once, and the drain is part of the run": (
        "concurrencia: todo se envía de una vez y el vaciado forma parte de la ejecución"
    ),
    "after the ramp, all users were at work for {} times the median E2E": (
        "tras la rampa, todos los usuarios trabajaron durante {} veces la mediana de E2E"
    ),
    "{} of replies ended after the load did, beside fewer and fewer others": (
        "{} de las respuestas terminaron después de la carga, junto a cada vez menos otras"
    ),
    "the drain is part of the load, or nothing was answered": (
        "el vaciado es parte de la carga, o nada fue respondido"
    ),
    "{} of {} users were in flight on average": "de media, {} de {} usuarios en curso",
    "events read {} after they came, at {}": "eventos leídos {} después de llegar ({})",
    "{} of events lost their own time in reads that came late": (
        "{} de los eventos perdieron su hora propia en lecturas tardías"
    ),
    "clock {}: {} of reads without a kernel stamp": "reloj {=}: {} de las lecturas sin marca del núcleo",
    "the wall clock was stepped {} times during the run": "el reloj de pared dio {} saltos durante la ejecución",
    "a load process was busy for {} of the time": "un proceso de carga estuvo ocupado {} del tiempo",
    "the client stood still for {}": "el cliente se detuvo {}",
    "the client stood still for {}, a garbage collection of {}": (
        "el cliente se detuvo {}, con una recolección de basura de {}"
    ),
    "the client waited for a core for {} of the time": "el cliente esperó un núcleo {} del tiempo",
    "the client was put aside {} times a second": "el cliente fue desalojado {} veces por segundo",
    "the hypervisor took {} of the cores' time": "el hipervisor tomó {} del tiempo de los núcleos",
    "server {}": "servidor {}",
    "not located": "sin localizar",
    "elsewhere": "en otra máquina",
    "other cores": "otros núcleos",
    "same cores": "los mismos núcleos",
    "each request opens its own connection, the server keeps none: response times include the connect": (
        "cada solicitud abre su propia conexión, el servidor no conserva ninguna: los tiempos de respuesta incluyen la "
        "conexión"
    ),
    "each request opens its own connection, the server keeps none: no latency includes the connect": (
        "cada solicitud abre su propia conexión, el servidor no conserva ninguna: ninguna latencia incluye la conexión"
    ),
    "{} of requests had to open a connection": "{} de las solicitudes tuvieron que abrir una conexión",
    "{} of {} requests were sent late, for they were not made yet when they were due": (
        "{} de {} solicitudes se enviaron tarde, pues aún no estaban hechas cuando tocaba"
    ),
    "the container's quota of CPU time was used up in {} of its periods: its processes were put aside for {} in all": (
        "la cuota de CPU del contenedor se agotó en {} de sus periodos: sus procesos estuvieron apartados {} en total"
    ),
    "{} connections failed for want of ports or file descriptors on this machine": (
        "{} conexiones fallaron por falta de puertos o descriptores de archivo en esta máquina"
    ),
    "requests went through the proxy {}: its time is in every figure": (
        "las solicitudes pasaron por el proxy {=}: su tiempo está en todas las cifras"
    ),
    "tokens counted in the streams differ from usage by {}": (
        "los tokens contados en los flujos difieren del uso declarado en {}"
    ),
    "{} of outputs are shorter than asked": "{} de las salidas son más cortas de lo pedido",
    "{} of outputs are longer than asked": "{} de las salidas son más largas de lo pedido",
    "the server took {} of the prompt tokens from its cache": (
        "el servidor tomó de su caché {} de los tokens de los prompts"
    ),
    "{} of requests failed": "fallaron {} de las solicitudes",
    "{} of them from {} s on": "{} de ellas desde los {} s",
    "no request succeeded": "ninguna solicitud tuvo éxito",
    "the load was ended because of its failures": "la carga se terminó por sus fallos",
    "every request failed": "todas las solicitudes fallaron",
    "{} since {} s": "{} desde los {} s",
    "{} of {} requests failed": "fallaron {} de {} solicitudes",
    "{} of requests failed, which received {}": "fallaron {} de las solicitudes, que recibieron {}",
    "{}: rates and latencies are of those that succeeded": "{}: las tasas y latencias son de las que tuvieron éxito",
    "{} tokens/s": "{} tokens/s",
    "rates and latencies are of those that succeeded: see the errors": (
        "las tasas y latencias son de las que tuvieron éxito: véanse los errores"
    ),
    "keep other work off this machine, or load from one with more cores": (
        "mantener otro trabajo fuera de esta máquina, o cargar desde una con más núcleos"
    ),
    "gaps between sends vary by {} of their mean, planned {}: {} apart": (
        "los intervalos entre envíos varían en {} de su media; planificado, {}: a {} de distancia"
    ),
    "bursts and pauses were not those planned: {}": "las ráfagas y pausas no fueron las planificadas: {}",
    "open loop: coefficient of variation of the gaps, sent against planned": (
        "bucle abierto: coeficiente de variación de los intervalos, enviado frente a planificado"
    ),
    "synthetic prompts: tokens by the server against those planned": (
        "prompts sintéticos: tokens según el servidor frente a los planificados"
    ),
    "prompt tokens: the server does not count them; lengths are by the tokenizer {}": (
        "tokens de los prompts: el servidor no los cuenta; las longitudes son según el tokenizador {=}"
    ),
    "prompts have {} of the tokens planned, by the server's count": (
        "los prompts tienen {} de los tokens planificados, según la cuenta del servidor"
    ),
    "how the server counts could not be learnt before the load ({}): say it with --set workload.template_tokens=N "
    "--set workload.token_ratio=R, or name its --tokenizer": (
        "no se pudo saber antes de la carga cómo cuenta el servidor ({}): decirlo con --set "
        "workload.template_tokens=N --set workload.token_ratio=R, o nombrar su --tokenizer"
    ),
    "lengths are not those asked for: prompts near the chat template's own length cannot be made": (
        "las longitudes no son las pedidas: no se pueden hacer prompts cercanos a la longitud de la propia plantilla"
    ),
    "unstable: {}": "inestable: {}",
    "no self-test of this machine: loadcell selftest makes one": (
        "no hay autoprueba de esta máquina: loadcell selftest hace una"
    ),
    # limits
    "{} (limit {})": "{} (límite {})",
    "{} (usual: up to {})": "{} (lo usual: hasta {})",
    "{} of {} is {} to {} by the client's clock readings": (
        "{} de {} está entre {} y {} por las lecturas del reloj del cliente"
    ),
    "{} of {} is {} to {} by the client's clock readings: known to {}": (
        "{} de {} está entre {} y {} por las lecturas del reloj del cliente: se conoce al {}"
    ),
    "{} response {}": "{} de respuesta, {}",
    "{} response": "{} de respuesta",
    "{} service {}": "{} de servicio, {}",
    "{} service": "{} de servicio",
    "Input tokens/s": "Tokens de entrada/s",
    "Attainment": "Cumplimiento",
    "the recording does not bound its times: they are the client's own, and nothing says how late it looked": (
        "la grabación no acota sus tiempos: son los del propio cliente, y nada dice lo tarde que miró"
    ),
    "record it again with this version": "grabarla de nuevo con esta versión",
    "width of a figure's error budget, over the figure": "ancho del margen de error de una cifra, sobre la cifra",
    "self-test at {} tokens/s: no bias beyond the budgets": (
        "autoprueba a {} tokens/s: ningún sesgo más allá de los márgenes"
    ),
    "self-test at {} tokens/s: {} was off by {}, more than its budget here allows": (
        "autoprueba a {} tokens/s: {} se desvió {}, más de lo que permite aquí su margen"
    ),
    "{} (limit {}): {}": "{} (límite {}): {}",
    "{} (limit {}): {} (and {} more)": "{} (límite {}): {} (y {} más)",
    "max": "máx.",
    "{}: not known": "{}: desconocido",
    "not known": "desconocido",
    "{} per s": "{} por s",
    "per s": "por s",
    "requests of the window that failed": "solicitudes de la ventana que fallaron",
    "sends after their time, at p99 (planned time, or when the user was ready)": (
        "envíos después de su hora, en p99 (hora planificada, o cuando el usuario estaba listo)"
    ),
    "sends that were late or early by more than 1 ms and more than 1 % of TTFT": (
        "envíos atrasados o adelantados más de 1 ms y más del 1 % de TTFT"
    ),
    "planned requests of the window that were never sent": (
        "solicitudes planificadas de la ventana que nunca se enviaron"
    ),
    "difference of the sent from the planned rate in the window": (
        "diferencia entre la tasa enviada y la planificada en la ventana"
    ),
    "closed loop: median E2E that all users were at work, after the ramp": (
        "bucle cerrado: medianas de E2E con todos los usuarios trabajando, tras la rampa"
    ),
    "replies of the window that ended after the load did": (
        "respuestas de la ventana que terminaron después de la carga"
    ),
    "closed loop: mean concurrency over that asked for": "bucle cerrado: concurrencia media sobre la pedida",
    "time from the kernel's stamp to the client's read, at p99": (
        "tiempo de la marca del núcleo a la lectura del cliente, en p99"
    ),
    "events that shared a read with the next because the client read late": (
        "eventos que compartieron lectura con el siguiente porque el cliente leyó tarde"
    ),
    "reads without a kernel stamp": "lecturas sin marca del núcleo",
    "steps of the wall clock": "saltos del reloj de pared",
    "busiest load process: time spent reading and sending": (
        "proceso de carga más ocupado: tiempo dedicado a leer y enviar"
    ),
    "longest time in the window without a look at the sockets": "mayor tiempo de la ventana sin mirar los sockets",
    "time that a load process was ready to run but had no core": (
        "tiempo en que un proceso de carga estaba listo pero no tenía núcleo"
    ),
    "times a second that a load process was put aside for another": (
        "veces por segundo que un proceso de carga fue desalojado por otro"
    ),
    "periods in which the container's quota of CPU time was used up": (
        "periodos en que se agotó la cuota de CPU del contenedor"
    ),
    "time of the cores that the hypervisor took": "tiempo de los núcleos que tomó el hipervisor",
    "requests of the window that opened a connection": "solicitudes de la ventana que abrieron una conexión",
    "requests that were not made yet when they were to be sent": (
        "solicitudes que aún no estaban hechas cuando había que enviarlas"
    ),
    "connections that failed for want of ports or descriptors, per request": (
        "conexiones fallidas por falta de puertos o descriptores, por solicitud"
    ),
    "tokens counted in the streams against the server's usage": (
        "tokens contados en los flujos frente al uso declarado por el servidor"
    ),
    "outputs shorter than asked, where the server was asked for all": (
        "salidas más cortas de lo pedido, si al servidor se le pidieron completas"
    ),
    "outputs longer than asked": "salidas más largas de lo pedido",
    "prompt tokens that the server took from a cache, synthetic prompts, its template's part left out": (
        "tokens de prompts que el servidor tomó de una caché, prompts sintéticos, sin la parte de su plantilla"
    ),
    "bias at p50 in this machine's self-test at the nearest load": (
        "sesgo en p50 en la autoprueba de esta máquina con la carga más próxima"
    ),
    "bias at p99 in this machine's self-test at the nearest load": (
        "sesgo en p99 en la autoprueba de esta máquina con la carga más próxima"
    ),
}

WINDOW = {
    "too little to tell whether a queue grows: {} requests came after the first replies": (
        "muy poco para saber si crece una cola: llegaron {} solicitudes tras las primeras respuestas"
    ),
    "95 % interval {} to {}": "intervalo del 95 %: de {} a {}",
    "the queue grows by {} requests/s ({}): percentiles are of a growing queue and change with the length of the run": (
        "la cola crece {} solicitudes/s ({}): los percentiles son de una cola que crece y cambian con la duración de "
        "la ejecución"
    ),
    "no growing queue: {} requests/s ({}) at {} in flight": "sin cola creciente: {} solicitudes/s ({}) con {} en curso",
    "SUSPECT where the queue grows through the window; percentiles have no interval then": (
        "DUDOSA si la cola crece durante la ventana; entonces los percentiles no tienen intervalo"
    ),
    "only {} of {} users in flight": "solo {} de {} usuarios en curso",
    "{} of {} users in flight": "{} de {} usuarios en curso",
    "unstable: the queue grows by {} requests/s": "inestable: la cola crece {} solicitudes/s",
    "from the start of the load to {}": "desde el inicio de la carga hasta {}",
    "from {} to {}": "desde {} hasta {}",
    "chosen by --window": "elegida con --window",
    "{}; the whole run counts": "{}; cuenta toda la ejecución",
    "the end of the last request": "el final de la última solicitud",
    "the end of the run": "el final de la ejecución",
    "the last planned request": "la última solicitud planificada",
    "the end of the warm-up that was found": "el final del calentamiento detectado",
    "the start of the load": "el inicio de la carga",
    "one E2E after the ramp": "un E2E después de la rampa",
    "the middle of the sending": "la mitad del envío",
    "the first request that was given up": "la primera solicitud abandonada",
    "the early end of the sending": "el final anticipado del envío",
    "the end of the sending": "el final del envío",
    "the last send": "el último envío",
    "the end of the duration asked for": "el final de la duración pedida",
    "the first request after the {} of the warm-up": "la primera solicitud después de las {} del calentamiento",
    "the end of the warm-up of {} s": "el final del calentamiento de {} s",
    "too short to find a warm-up: {} requests of {} needed": (
        "demasiado corta para detectar un calentamiento: {} solicitudes de las {} necesarias"
    ),
    "no request succeeded, so no warm-up can be found": (
        "ninguna solicitud tuvo éxito: no se puede detectar un calentamiento"
    ),
    "too short to find a warm-up: after the ramp, sending lasted {} times the median E2E, {} are needed": (
        "demasiado corta para detectar un calentamiento: tras la rampa, el envío duró {} veces el E2E mediano; hacen "
        "falta {}"
    ),
    "the first {} s are left out: {} users start one after the other": (
        "se excluyen los primeros {} s: {} usuarios arrancan uno tras otro"
    ),
    "warm-up of {} s: {} of its requests lies {} above the rest's": (
        "calentamiento de {} s: el {} de sus solicitudes está un {} por encima del resto"
    ),
    "warm-up of {} s: {} of its requests lies {} below the rest's": (
        "calentamiento de {} s: el {} de sus solicitudes está un {} por debajo del resto"
    ),
    "too few requests to look for a warm-up in the replies": (
        "muy pocas solicitudes para buscar un calentamiento en las respuestas"
    ),
    "too short to look for a warm-up in the replies": (
        "demasiado corta para buscar un calentamiento en las respuestas"
    ),
    "{} shows no warm-up": "{} no muestra calentamiento",
    "TPOT and TTFT show no warm-up": "TPOT y TTFT no muestran calentamiento",
    "few requests, early: {} of {} of the first {} was {} to {}, later {} at most": (
        "pocas solicitudes, al principio: {} de {} de las primeras {} fue de {} a {}; después, {} como máximo"
    ),
    "few requests, early, outside of the window: {} of {} of the first {} was {} to {}, later {} at most": (
        "pocas solicitudes, al principio, fuera de la ventana: {} de {} de las primeras {} fue de {} a {}; después, {} "
        "como máximo"
    ),
    "SUSPECT where few requests, early, of the window were more than twice as slow as any later one": (
        "SUSPECT si pocas solicitudes, al principio de la ventana, fueron más del doble de lentas que cualquier otra"
    ),
    "a cold start is not the load: leave it out by --warmup": (
        "un arranque en frío no es la carga: excluirlo con --warmup"
    ),
    "it fills about half of what was sent, so it may not be over": (
        "ocupa cerca de la mitad de lo enviado, así que quizá no ha terminado"
    ),
}

ACCOUNTS = {
    "check the URL and that the server listens; raise --connect-timeout, or lower the load if it refuses": (
        "comprobar la URL y que el servidor escucha; subir --connect-timeout, o bajar la carga si rechaza conexiones"
    ),
    "raise --timeout, or lower the load: the server did not finish in time": (
        "subir --timeout, o bajar la carga: el servidor no terminó a tiempo"
    ),
    "the server refused the request: check --model, the lengths and extra body fields": (
        "el servidor rechazó la solicitud: comprobar --model, las longitudes y los campos adicionales del cuerpo"
    ),
    "set the API key in the environment variable that --api-key-env names": (
        "poner la clave de la API en la variable de entorno que nombra --api-key-env"
    ),
    "the key may not use this model or endpoint": "la clave no puede usar este modelo o endpoint",
    "check the URL's path, --api and the model's name": "comprobar la ruta de la URL, --api y el nombre del modelo",
    "the account has no quota left: raise it, or use another key": (
        "la cuenta no tiene más cuota: ampliarla, o usar otra clave"
    ),
    "the server is still loading: wait with --wait-ready 10m, or read its log": (
        "el servidor todavía está cargando: esperar con --wait-ready 10m, o leer su registro"
    ),
    "prompt and output are longer than the server's context: give fewer --input-tokens or --output-tokens, or start "
    "the server with a longer context": (
        "el prompt y la salida son más largos que el contexto del servidor: dar menos --input-tokens o "
        "--output-tokens, o arrancar el servidor con un contexto más largo"
    ),
    "ask for whole replies: --no-stream": "pida respuestas enteras: --no-stream",
    "the server wants to be asked for more output tokens: raise --output-tokens": (
        "el servidor quiere que se le pidan más tokens de salida: subir --output-tokens"
    ),
    "name one of the server's models with --model": "nombrar uno de los modelos del servidor con --model",
    "check the URL's path and --api": "comprobar la ruta de la URL y --api",
    "the proxy wants a name and a password: put them into the URL of http_proxy or https_proxy": (
        "el proxy pide un nombre y una contraseña: ponerlos en la URL de http_proxy o https_proxy"
    ),
    "the server or a proxy gave up waiting: raise its time limit, or lower the load": (
        "el servidor o un proxy dejó de esperar: subir su límite de tiempo, o bajar la carga"
    ),
    "the request is too large for the server or a proxy in front of it: give fewer --input-tokens, or raise its limit "
    "(nginx: client_max_body_size)": (
        "la solicitud es demasiado grande para el servidor o un proxy delante de él: dar menos --input-tokens, o subir "
        "su límite (nginx: client_max_body_size)"
    ),
    "a proxy in front does not reach the server: see that it is up": (
        "un proxy delante del servidor no llega a él: ver que el servidor esté en marcha"
    ),
    "the server takes no more requests now: lower the load, or read its log": (
        "el servidor no acepta más solicitudes ahora: bajar la carga, o leer su registro"
    ),
    "an empty body": "un cuerpo vacío",
    "{} (Retry-After: {})": "{=} (Retry-After: {=})",
    "the server limits the rate: lower the load, or lift its limit": (
        "el servidor limita la tasa: bajar la carga, o quitar su límite"
    ),
    "the server refused the request: its words say why": "el servidor rechazó la solicitud: sus palabras dicen por qué",
    "the server failed: read its log at that time": "el servidor falló: leer su registro de ese momento",
    "the server reported an error inside the stream: read its log": (
        "el servidor informó de un error dentro del flujo: leer su registro"
    ),
    "the server ended its output for a reason that is none of a whole one: read its log at that time": (
        "el servidor terminó su salida por un motivo que no es el de una salida completa: leer su registro de ese "
        "momento"
    ),
    # what replies say of themselves
    "usage counts {} output tokens a reply where {} came, in {} of replies": (
        "el uso cuenta {} tokens de salida por respuesta donde llegaron {}, en {} de las respuestas"
    ),
    "tokens are counted by what came, which events and text agree on: see what the server counts": (
        "los tokens se cuentan por lo que llegó, en lo que eventos y texto coinciden: mirar qué cuenta el servidor"
    ),
    "{} of replies hold several outputs: figures are of the first of each": (
        "{} de las respuestas contienen varias salidas: las cifras son de la primera de cada una"
    ),
    "ask for one output a request, and for more requests instead": (
        "pedir una salida por solicitud, y en su lugar más solicitudes"
    ),
    "the first output of {} of replies came in a field that is not known to hold output: {}": (
        "la primera salida de {} de las respuestas llegó en un campo del que no se sabe que contenga salida: {=}"
    ),
    "TTFT is the time of that field: see what the server sends in it": (
        "TTFT es el tiempo de ese campo: mirar qué envía el servidor en él"
    ),
    "replies whose usage neither their events nor their text bear out": (
        "respuestas cuyo uso no confirman ni sus eventos ni su texto"
    ),
    "replies that hold several outputs, of which the first is measured": (
        "respuestas con varias salidas, de las que se mide la primera"
    ),
    "replies whose first output came in a field not known to hold output": (
        "respuestas cuya primera salida llegó en un campo del que no se sabe que contenga salida"
    ),
    "usage counts reasoning that is not in the stream, {} tokens a reply: it is counted as made before the first "
    "output, so TTFT holds its time and TPOT does not": (
        "el uso cuenta razonamiento que no está en el flujo, {} tokens por respuesta: se cuenta como hecho antes de la "
        "primera salida, de modo que TTFT contiene su tiempo y TPOT no"
    ),
    "text came in fields that are not known to hold output: {}; it counts as output that is not the visible answer": (
        "llegó texto en campos de los que no se sabe que contengan salida: {=}; cuenta como salida que no es la "
        "respuesta visible"
    ),
    "the server sends no usage: the output tokens of {} replies are counted over their text by the tokenizer {}, which "
    "need not be the server's": (
        "el servidor no envía uso: los tokens de salida de {} respuestas se cuentan sobre su texto con el tokenizador "
        "{=}, que no tiene por qué ser el del servidor"
    ),
    "the server sends no usage: the output tokens of {} replies are their events, a token each, which the length asked "
    "for or the text by the tokenizer {} bears out": (
        "el servidor no envía uso: los tokens de salida de {} respuestas son sus eventos, un token cada uno, lo que "
        "confirma la longitud pedida o el texto según el tokenizador {=}"
    ),
    "the server sends no usage: the output tokens of {} replies are the running counts in the stream": (
        "el servidor no envía uso: los tokens de salida de {} respuestas son las cuentas parciales del flujo"
    ),
    "the server sends no usage: the output tokens of {} replies are those that each event lists": (
        "el servidor no envía uso: los tokens de salida de {} respuestas son los que enumera cada evento"
    ),
    "the server hung up without a reply: look for a crash, a proxy or a limit on connections": (
        "el servidor colgó sin responder: buscar una caída, un proxy o un límite de conexiones"
    ),
    "the connection closed before the end of the stream: look for a crash, a proxy or its time limit": (
        "la conexión se cerró antes del final del flujo: buscar una caída, un proxy o su límite de tiempo"
    ),
    "the reply is not HTTP or SSE as it should be: check what stands between here and the server": (
        "la respuesta no es HTTP o SSE como debería: comprobar qué hay entre esta máquina y el servidor"
    ),
    "a page for people came back: check the URL, and whether a login or a proxy stands before the API": (
        "volvió una página para personas: comprobar la URL y si hay un inicio de sesión o un proxy ante la API"
    ),
    "the server packs replies though nobody asked for it: switch that off in it, or in the proxy before it": (
        "el servidor comprime respuestas sin que nadie lo pida: desactivarlo en él o en el proxy que tiene delante"
    ),
    "the server redirects: give the URL of the API that it names, for the key goes to no other host unasked": (
        "el servidor redirige: dar la URL de la API que nombra, pues la clave no va a otro equipo sin pedirlo"
    ),
    "the reply is not the JSON of this API: check --api": "la respuesta no es el JSON de esta API: comprobar --api",
    "the reply is larger than the client accepts: check --api and the output length": (
        "la respuesta es mayor de lo que acepta el cliente: comprobar --api y la longitud de salida"
    ),
    "the reply ended without output: check the chat template, stop tokens and output length": (
        "la respuesta terminó sin salida: comprobar la plantilla de chat, los tokens de parada y la longitud de salida"
    ),
    "the worker died before it wrote these: see the notes and this machine's log (memory?)": (
        "el proceso murió antes de escribirlas: ver las notas y el registro de esta máquina (¿memoria?)"
    ),
    "worker {} recorded {} requests but started {}": "el proceso {} grabó {} solicitudes pero inició {}",
    "{} requests have a status that is not ok, failed or cancelled": (
        "{} solicitudes tienen un estado que no es ok, failed ni cancelled"
    ),
    "the accounts do not close: {} requests were planned, {} started": (
        "las cuentas no cuadran: {} solicitudes planificadas, {} iniciadas"
    ),
    "parts of the recording cannot be read, what they held is missing: {}": (
        "hay partes de la grabación que no se pueden leer, falta lo que contenían: {=}"
    ),
    "files are not as the run wrote them, by its checksums (the disk erred, or somebody changed them): {}": (
        "hay archivos que no son como la ejecución los escribió, según sus sumas de verificación (falló el disco, o "
        "alguien los cambió): {=}"
    ),
    "{} received events are missing from the recording": "faltan en la grabación {} eventos recibidos",
    "the run was interrupted: {} requests had ended": "la ejecución se interrumpió: habían terminado {} solicitudes",
    "the run broke off: {} requests were recorded": "la ejecución se cortó: se grabaron {} solicitudes",
    "the run did not end: {} requests recorded up to its last flush": (
        "la ejecución no terminó: {} solicitudes grabadas hasta su último volcado"
    ),
    "worker {} died: {}": "el proceso {} murió: {}",
    "of what was watched beside the load, files cannot be read and are left out: {}": (
        "de lo observado junto a la carga hay archivos que no se pueden leer y se omiten: {=}"
    ),
    "TPOT takes the first chunk of {} requests as one token: the server does not tell": (
        "TPOT toma el primer fragmento de {} solicitudes como un token: el servidor no lo dice"
    ),
    "{} ok requests have no output token count: no TPOT, NTPOT or tokens/s of theirs": (
        "{} solicitudes correctas no tienen recuento de tokens de salida: sin TPOT, NTPOT ni tokens/s de ellas"
    ),
    "{} replies were not streamed: no TTFT, ITL or TPOT; their tokens count when the body was complete": (
        "{} respuestas no llegaron en streaming: sin TTFT, ITL ni TPOT; sus tokens cuentan al completarse el cuerpo"
    ),
    "chunks stand for tokens in {} requests: nothing told their count": (
        "en {} solicitudes los fragmentos hacen de tokens: nada dijo su número"
    ),
    "the server took {} of the prompt tokens from its cache: prompts that repeat are answered faster than new ones": (
        "el servidor tomó de su caché {} de los tokens de los prompts: los repetidos se responden más rápido que los "
        "nuevos"
    ),
    "cannot be judged: {} ok replies do not show it (not streamed, or without a token count)": (
        "no se puede juzgar: {} respuestas correctas no lo muestran (sin streaming, o sin recuento de tokens)"
    ),
    "nearest rank: the sample at rank ceil(p n) of n sorted samples, no interpolation": (
        "rango más próximo: la muestra de rango ceil(p n) entre n muestras ordenadas, sin interpolar"
    ),
    "95 %, distribution-free from binomial ranks, of the independent samples that the samples are worth: their "
    "number over the variance inflation of what lies above the percentile, in the order of the sends; open above, with "
    "a one-sided lower end, where these (or the samples as a whole) are worth too few for an upper end; for ITL, as "
    "many as give the share of gaps beyond the percentile its variance between requests or between 20 batches of time, "
    "the greater one; means: normal, with their variance inflation; proportions: Wilson, likewise; requests/s and "
    "tokens/s: means of 20 batches of time": (
        "95 %, sin suponer distribución, por rangos binomiales, sobre las muestras independientes a las que equivalen "
        "las muestras: su número entre la inflación de varianza de lo que supera el percentil, en el orden de los "
        "envíos; abierto por arriba, con un extremo inferior unilateral, donde estas (o el conjunto de las muestras) "
        "equivalen a muy pocas para un extremo superior; para ITL, tantas como dan a la proporción de intervalos por "
        "encima del percentil su varianza entre solicitudes o entre 20 tramos de tiempo, la mayor; medias: normal, con "
        "su inflación de varianza; proporciones: Wilson, del mismo modo; "
        "solicitudes/s y tokens/s: medias de 20 tramos de tiempo"
    ),
}

RESULT = {
    **CHECKS,
    **WINDOW,
    **ACCOUNTS,
}
