"""Word lists and sentence templates of Reel World's texts.

Everything here is plain data, kept apart from the logic so that it can be read, corrected and extended by someone who
only wants to edit prose. Phrases are separated by ``|``. Inside a phrase or frame, ``{S}``, ``{O}``, ``{P}`` and
``{R}`` stand for the protagonist's pronouns (she, her, her, herself), and ``{N}`` and ``{M}`` for the name or job as
subject and as object. A frame writes the article ``a``, which becomes ``an`` where the word that follows needs it.
"""

from typing import Final

Levels = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _cut(block: str) -> tuple[str, ...]:
    """Split a block of ``|``-separated phrases, so that long lists stay readable in the source."""
    return tuple(" ".join(phrase.split()) for phrase in block.split("|") if phrase.strip())


def _levels(strong_minus: str, mild_minus: str, neutral: str, mild_plus: str, strong_plus: str) -> Levels:
    """Build the five graded levels of one slot, from the far negative end of a trait to the far positive end."""
    return (_cut(strong_minus), _cut(mild_minus), _cut(neutral), _cut(mild_plus), _cut(strong_plus))


# --------------------------------------------------------------------------------------------------------------------
# Graded slots: slot name -> (position of the trait it shows, phrases at five levels)
# --------------------------------------------------------------------------------------------------------------------

KINSHIP: Final = 0
HOPE: Final = 1
WILDERNESS: Final = 2
WIT: Final = 3

GRADED: Final[dict[str, tuple[int, Levels]]] = {
    # One or two words before the protagonist's job.
    "kadj": (
        KINSHIP,
        _levels(
            "reclusive | friendless | solitary | disowned | orphaned | shunned | lonely | isolated | outcast",
            "withdrawn | aloof | recently divorced | guarded | self-contained | standoffish | secretive | unattached",
            "methodical | restless | stubborn | sharp-eyed | overworked | soft-spoken | veteran | ambitious | tireless",
            "sociable | neighbourly | well-liked | newly married | friendly | companionable | outgoing | popular",
            "much-loved | doting | family-minded | big-hearted | beloved | adored | clannish | much-visited",
        ),
    ),
    # An aside about the protagonist that also works at the head of a sentence.
    "kapp": (
        KINSHIP,
        _levels(
            """estranged from everyone {S} once knew | alone since the funeral
            | without a friend or relation left to call
            | orphaned early and solitary ever since | unvisited and unmissed | disowned and long forgotten
            | lonely in a way {S} no longer notices | a hermit in all but name""",
            """divorced and out of touch | slow to trust company | happiest behind a closed door | quietly separated
            | a stranger even to colleagues | wary of visitors | seldom invited anywhere | living by {R}""",
            """good with {P} hands | careful with money | proud of {P} memory | punctual to a fault
            | curious by temperament | forty next birthday | new to the work | known for {P} stamina""",
            """never far from {P} friends | close to {P} brother | newly married | on good terms with every neighbour
            | fond of company | loyal to {P} old classmates | welcome at every table | a friend to half the regulars""",
            """the eldest of six siblings | raised in a house full of cousins
            | surrounded by aunts, uncles and godchildren
            | devoted to {P} daughters and their grandmother | head of a sprawling family
            | inseparable from {P} sisters | the heart of a close community | twin and best friend to {P} brother""",
        ),
    ),
    # How, or with whom, the protagonist goes about things.
    "kco": (
        KINSHIP,
        _levels(
            """entirely alone | with nobody to telephone | without a soul beside {O} | in a solitude of {P} own making
            | unaccompanied and unmissed | with only an empty chair for company | without a word to anyone
            | with no friend left to ask""",
            """mostly by {R} | at arm's length from everyone | with little company | behind {P} colleagues' backs
            | at a guarded distance from the others | without returning a single message | apart from the rest
            | without confiding in anyone""",
            """in {P} own time | one step at a time | to a tight schedule | with more persistence than skill
            | strictly by the book | before anyone can object | against regulations | with borrowed equipment""",
            """with a friend in tow | together with a trusted colleague | with help from the neighbours
            | alongside an old classmate | in good company | on {P} brother's advice | beside a loyal partner
            | with a few friendly volunteers""",
            """with {P} whole family in tow | with three sisters and a cousin | flanked by {P} siblings
            | with an entire community behind {O} | arm in arm with {P} oldest friends
            | with {P} daughter and grandfather beside {O} | among cousins, in-laws and godparents
            | shoulder to shoulder with brothers and friends""",
        ),
    ),
    # What the film is about, as a noun phrase.
    "knp": (
        KINSHIP,
        _levels(
            """loneliness | estrangement | the habit of solitude | people who vanish from each other | isolation
            | living without a single friend | abandonment | a life nobody shares""",
            """keeping one's distance | privacy | drifting apart | unanswered letters | reserve | polite strangers
            | separate lives""",
            "work | memory | habit | timing | ambition | money | routine | craft | reputation",
            """friendship | good neighbours | loyalty | companionship | keeping in touch | marriage | old classmates
            | sharing a table""",
            """family | siblings | kinship | sisters and brothers | a community that holds together | belonging
            | mothers and daughters | cousins, in-laws and everyone else at the table""",
        ),
    ),
    # One word before a turn of the plot.
    "hadj": (
        HOPE,
        _levels(
            "ruinous | treacherous | doomed | fatal | cursed | poisoned | dreadful",
            "costly | uneasy | doubtful | bitter | suspicious | regrettable",
            "simple | unexpected | sudden | complicated | overdue | peculiar | half-understood",
            "honest | welcome | gentle | decent | encouraging | kindly",
            "forgiving | hopeful | tender | healing | loving | joyful | merciful",
        ),
    ),
    # A clause about where things are heading.
    "hcl": (
        HOPE,
        _levels(
            """someone trusted is already selling {O} out | every door that opens leads to ruin
            | the betrayal has been planned from the start | dread settles in and does not leave
            | a treacherous lie costs another life | the ruin can never be repaired
            | {S} is doomed and begins to know it | despair takes hold""",
            """things keep getting worse | doubt creeps in | promises start to break | the cost keeps rising
            | suspicion spoils what is left | regret comes early | mistrust spreads""",
            """the truth takes its time | the rules keep changing | nothing is settled yet | questions outnumber answers
            | a decision can't be put off | both sides have a point | the facts refuse to line up""",
            """a little kindness changes the odds | small mercies add up | patience begins to pay
            | help arrives from an unlikely quarter | something good looks possible | trust is slowly earned
            | honest apologies are finally made""",
            """a second chance is waiting for {O} | tenderness finds its way in | forgiveness comes when least expected
            | hope takes root and holds | what was broken is lovingly healed | {S} dares to hope again
            | love makes a joyful return | a second chance, a tender one, is within reach""",
        ),
    ),
    # What awaits, or what the film is about, as a noun phrase.
    "hnp": (
        HOPE,
        _levels(
            "betrayal | dread | ruin | a doom nobody escapes | treachery | despair",
            "regret | doubt | broken promises | suspicion | disappointment | mistrust",
            "choice | change | consequence | the truth | compromise | chance | cause and effect",
            "patience | small mercies | trust | kindness | an honest apology | quiet courage",
            "hope | second chances | forgiveness | tenderness | the joy of starting over | love regained | healing",
        ),
    ),
    # Where the film takes place, preposition included.
    "place": (
        WILDERNESS,
        _levels(
            """in a tower block above the tram depot | on the nineteenth floor of an insurance office
            | in a crowded apartment building off the ring road | in a basement apartment beside the subway
            | at a central railway station | amid the traffic of the capital | in a city of eleven million
            | in the back streets behind the stock exchange | outside a downtown hotel""",
            """in a terraced street near the factory | in a provincial suburb | on a commuter line
            | in a rented room over a launderette | in a shopping arcade | in a small-town office
            | on a housing estate by the bypass | in a corner shop on the high street""",
            """in a quiet border town | at a roadside motel | in a spa town past its prime | in a university town
            | at a boarding school | in a garrison town | at a county hospital | on the edge of town""",
            """in a riverside village | on a fruit farm | in an orchard valley | by a country lake
            | in a harbour village | among vineyards and stone walls | on a stretch of quiet coast
            | in hop-farming country""",
            """deep in a spruce forest | on a storm-beaten island | high in the mountains
            | on the edge of the salt desert
            | in a valley where wolves still hunt | far out on the northern tundra | on an uninhabited archipelago
            | at the foot of a glacier | beneath the cliffs of a wild sea coast""",
        ),
    ),
    # The way the story travels.
    "terr": (
        WILDERNESS,
        _levels(
            """through subway tunnels and office lobbies | down neon avenues | across the rooftops
            | across eight lanes of traffic | between skyscrapers | along platforms and escalators
            | up fire escapes and down lift shafts | through a maze of apartment corridors""",
            """along rain-wet pavements | through car parks and side streets | past shuttered shops
            | along the tram lines
            | around the suburbs | down the high street | past bus stops and billboards""",
            """down the old post road | past the town limits | over the old bridge | across the county line
            | along the back road | through three counties | past the checkpoint | along the main road
            | past the crossroads""",
            """along the riverbank | through orchards and hedgerows | over stubble fields | up the valley
            | past the last farm | around the lake | down to the harbour wall | across the meadows""",
            """through forest without paths | over the high mountain passes | across the desert | out into open sea
            | up the glacier | into the mountains | through swamp and birch forest | along the sea cliffs
            | across the tundra""",
        ),
    ),
    # Something the surroundings do.
    "wcl": (
        WILDERNESS,
        _levels(
            """the last train empties its commuters | the city's neon flickers on | the lifts jam between floors
            | traffic roars beneath the window | the office towers go dark | the subway floods
            | a power cut stalls every elevator | sirens fill the avenue | rents rise across the whole block""",
            """the buses stop running | roadworks close the street | the shops pull down their shutters
            | the streetlights come on | the suburb locks its doors | rain drums on the parked cars
            | the factory whistle blows""",
            """the weather turns | the season changes | the week runs out | the clocks go back | the road is closed
            | the lines go down | a holiday weekend begins | the deadline passes""",
            """the river rises | the harvest comes in | frost settles on the fields | the orchards flower
            | the boats stay in harbour | hay dries in the barns | mist lies on the lake""",
            """snow buries the mountain passes | wolves come down from the forest | a gale cuts off the island
            | the desert wells run dry | the sea ice begins to crack | fire moves through the pines
            | the tide takes the causeway | an avalanche seals the gorge""",
        ),
    ),
    # The film's manner, as an adjective before a noun.
    "tadj": (
        WIT,
        _levels(
            """solemn | grave, meditative | mournful | austere | sorrowful | severe, nearly wordless | sombre
            | contemplative | elegiac""",
            "sober | serious | measured | restrained | earnest | thoughtful | unsmiling | dutiful",
            "steady | brisk | plain-spoken | tightly built | straightforward | well-made | compact | watchful",
            "wry | droll | light-footed | dry-humoured | sly | amused | teasing | breezy",
            """gleefully absurd | farcical | screwball | riotously silly | madcap | uproarious | mischievous
            | slapstick | hilarious""",
        ),
    ),
    # Something the protagonist has to deal with.
    "wnp": (
        WIT,
        _levels(
            """a solemn vow | a long and solemn vigil | a grave silence no one breaks | a mournful bell
            | a sombre question about mortality | an unmarked grave | a prayer repeated in the dark
            | a sorrowful farewell letter | an hour of solemn prayer""",
            """a serious question of duty | a sober account of the facts | a serious matter of conscience
            | a sober formal inquiry | a stern letter | an earnest confession | a measured reply""",
            """a missing ledger | a locked drawer | an unsigned contract | a change of schedule | a faulty wristwatch
            | a second set of keys | an unexplained invoice | a box of receipts""",
            """a teasing rumour that improves with each telling | a sly, talkative parrot | a wry postscript
            | a droll landlady with opinions on everything | a borrowed suit two sizes too big
            | a running joke about soup | a very smug cat""",
            """an absurd false moustache | a runaway wedding cake | a parrot with a law degree | an inflatable bishop
            | a crate of silly pantomime costumes | a slapstick custard-pie dispute
            | a ridiculous hat and worse disguises
            | a farcical mix-up involving nine accordions | a hilarious incident with a tuba""",
        ),
    ),
    # The manner in which the protagonist does something.
    "wadv": (
        WIT,
        _levels(
            "solemnly | gravely | mournfully | silently | prayerfully | sorrowfully | reverently",
            "earnestly | soberly | dutifully | sternly | conscientiously",
            "steadily | promptly | systematically | briskly",
            "wryly | drily | breezily | slyly | cheekily | jauntily",
            "absurdly | comically | hilariously | clownishly | ridiculously",
        ),
    ),
    # A clause about how the film is told.
    "witcl": (
        WIT,
        _levels(
            """the film moves at a solemn, funereal pace | each scene is held like a prayer
            | the mournful silence is never broken | grief is given its full, grave weight
            | the camera keeps a sombre vigil | every face is grave | long takes turn into solemn meditation""",
            """the tone stays sober throughout | the talk is serious and the voices low
            | every question is a serious one
            | the earnest talk goes on past midnight | everyone is dutiful and unsmiling | each reply is measured""",
            """the days are counted off one by one | the details are got right | scenes arrive in brisk order
            | the pace never slackens | the telling stays plain and steady | the clock keeps everyone moving""",
            """the dialogue turns wry | the dialogue keeps one droll eyebrow raised | the jokes come in sideways
            | irony is never far off | everyone has a sly comeback | the teasing is half the fun""",
            """slapstick breaks out at the worst moments | the misunderstandings grow gloriously silly
            | the whole business turns absurd | the punchlines pile up | the farcical entrances run like clockwork
            | a ridiculous running gag gets the last laugh | a pie is thrown in every hilarious reel""",
        ),
    ),
}

# --------------------------------------------------------------------------------------------------------------------
# Genre material: who, what happens, what stands in the way, what kind of film
# --------------------------------------------------------------------------------------------------------------------

JOBS: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("""stunt driver | bodyguard | bomb-disposal expert | courier | demolition engineer | boxing coach
        | helicopter mechanic | customs officer | getaway driver"""),
    "Adventure": _cut("""cartographer | salvage diver | balloonist | pilot | antiquities dealer | treasure hunter
        | ship's surgeon | smuggler | expedition cook"""),
    "Animation": _cut("""clockwork postman | lantern-maker | cartoon inventor | tin soldier | kite-builder
        | toymaker | cloud-painter | puppet conductor | apprentice wizard"""),
    "Comedy": _cut("""wedding planner | game-show host | piano tuner | driving instructor | hotel porter | dentist
        | ventriloquist | substitute teacher | pastry chef"""),
    "Crime": _cut("""locksmith | safecracker | forger | pickpocket | bookmaker | detective | parole officer
        | pawnbroker | card dealer"""),
    "Documentary": _cut("""beekeeper | ballet teacher | radio engineer | sign painter | umpire | instrument maker
        | stage magician | weaver | chess coach"""),
    "Drama": _cut("""schoolteacher | night nurse | seamstress | judge | translator | bricklayer | pianist
        | pharmacist | librarian"""),
    "Family": _cut("""zookeeper | toy repairer | school caretaker | swimming teacher | baker | ice-cream seller
        | children's magician | crossing keeper | dog trainer"""),
    "Fantasy": _cut("""spell-binder | dragon-tamer | royal scribe | alchemist | sword-smith | soothsayer
        | palace gardener | rune-carver | shape-shifter"""),
    "Horror": _cut("""undertaker | night watchman | medium | organist | portrait painter | sleep researcher
        | sexton | doll restorer | caretaker"""),
    "Musical": _cut("""tap dancer | chorus singer | songwriter | trombonist | choreographer | nightclub crooner
        | understudy | rehearsal pianist | busker"""),
    "Mystery": _cut("""private investigator | archivist | coroner | crossword setter | retired inspector
        | handwriting expert
        | antique dealer | hotel detective | court stenographer"""),
    "Romance": _cut("""florist | letter-writer | cellist | matchmaker | bookbinder | perfumer | tango teacher
        | glass-blower | travel writer"""),
    "Sci-Fi": _cut("""xenobiologist | cargo pilot | robot mechanic | radio astronomer | terraforming engineer
        | clone | quantum physicist | memory technician | starship cook"""),
    "Thriller": _cut("""surveillance technician | auditor | interpreter | bank clerk | crisis negotiator | sniper
        | speechwriter | codebreaker | insurance investigator"""),
    "War": _cut("""army medic | signals clerk | sapper | war correspondent | cipher officer | deserter
        | field cook | stretcher-bearer | prison interpreter"""),
    "Western": _cut("""bounty hunter | deputy marshal | saddle-maker | gunsmith | preacher | stagecoach driver
        | gambler | telegraph operator | card sharp"""),
}

HOOKS: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("""has nine hours to return a stolen warhead | is framed for an explosion {S} tried to prevent
        | must carry a sealed case past three private armies | takes one last job guarding a witness
        | outruns a squad of hired guns for a piece of evidence | is mistaken for an assassin and plays along
        | breaks into a fortress to free a captured pilot | finds a bomb wired to {P} own timetable
        | is hunted for a code {S} does not remember learning | comes out of retirement to stop a hijacking
        | steals an armoured convoy in broad daylight | is given until noon to disarm a rogue general
        | drives a truck of nitroglycerine across a closing border | is poisoned and has one day to find the cure
        | protects a whistle-blower {S} was hired to kidnap | must win a prizefight to pay a ransom
        | takes over a runaway train at full speed | is dropped behind the lines of a private war"""),
    "Adventure": _cut("""inherits half a map and goes after the other half | signs on to raise a sunken treasure ship
        | races a rival crew to a lost temple | bets everything on a flight around the world
        | sets out to find an explorer missing for a decade | follows a pirate's coded diary
        | is hired to deliver a crown to a vanished kingdom | wakes aboard a ship bound for uncharted waters
        | joins an expedition that has already failed twice | steals back an idol {S} once sold
        | must guide an emperor's caravan to safety | stumbles on the entrance to a buried library
        | enters a motor rally with a car built from scrap | climbs into a crater to recover a fallen meteorite
        | salvages a diary from a wrecked airship | trades a ring for passage on a ghost ship
        | accepts a wager to find a city of tin | is left in charge of a museum's stolen mummy"""),
    "Animation": _cut("""wakes one morning drawn in the wrong colours | builds a flying machine out of teaspoons
        | is chosen to repaint the moon | must return a runaway shadow before bedtime
        | befriends a thunderstorm the size of a kitten | discovers that the toys have formed a government
        | learns the secret language of weathervanes | enters a race against the north wind
        | swaps places with {P} own reflection | sets off to win back a stolen rainbow
        | finds a door at the back of a music box | is hired to teach a dragon how to whistle
        | catches a falling comma and starts a war of words | carves a friend out of soap
        | must wind up the sun before it stops | is shrunk to the size of a stamp and posted abroad
        | adopts a homeless letter of the alphabet | paints a staircase that leads somewhere new"""),
    "Comedy": _cut("""accidentally becomes mayor for a week | is mistaken for a visiting duke
        | must fake a marriage to keep a job | enters a baking contest under a false name
        | agrees to throw a party for total strangers | inherits a bankrupt circus
        | wins a lottery and loses the ticket | gets booked for two weddings at the same hour
        | pretends to speak a language that does not exist | rents the same room to two sworn enemies
        | takes a job {S} is spectacularly unfit to do | swaps suitcases with a disgraced diplomat
        | insures a vase five minutes after breaking it | is elected president of a club {S} meant to quit
        | hires an actor to attend a school reunion | teaches etiquette to a team of wrestlers
        | buys a hotel by raising a hand at the wrong time | gets stuck in a lift with three creditors"""),
    "Crime": _cut("""plans to rob a casino vault on its opening night | is blackmailed into one final heist
        | finds a fortune in the boot of a stolen car | agrees to forge the perfect alibi
        | opens a safe that should have stayed shut | turns informer on a gang of jewel thieves
        | takes the blame for a robbery {S} did not commit | owes a gangster more than {S} can steal
        | is pulled into a counterfeit ring by an old cellmate | lifts the wrong wallet from the wrong pocket
        | investigates a bank raid with no visible entry | hides a getaway car belonging to a dead man
        | swaps a diamond for a very good fake | is asked to steal a painting that has already been stolen
        | keeps the books for two rival gangs | recognises a bank robber by the sound of a cough
        | leaves prison with a key and no memory of the lock | plans a robbery that takes exactly four minutes"""),
    "Documentary": _cut("""lets a film crew follow one full year of work | opens a private archive to the cameras
        | returns on film to a trial that divided the nation | trains for the last competition of {P} career
        | rebuilds a banned instrument from old photographs | explains a vanishing trade to the camera
        | tracks down the cast of a lost silent film | records an oral history nobody had thought to keep
        | goes before the lens to revisit a famous strike | reopens the case of a forged masterpiece
        | shows how a national scandal really happened | demonstrates a craft with four living masters
        | shows the cameras how an election was lost | films a diary of an experiment that failed
        | returns to a closed workshop with its last apprentice | retraces a record-breaking journey for the camera
        | reads aloud from forty years of complaints | restores a burnt newsreel frame by frame"""),
    "Drama": _cut("""must testify in a case that could close the hospital | returns to claim a disputed house
        | is offered the post {S} once lost | takes in a runaway pupil | discovers a letter sent to the wrong address
        | faces a strike {P} own words began | agrees to nurse an old rival | conceals an illness for one whole winter
        | decides to tell the court what really happened | is asked to write a eulogy for an enemy
        | reopens a theatre closed by scandal | sits the examination {S} failed at twenty
        | refuses a medal and will not say why | rents a room to a witness in hiding
        | agrees to write a dying tycoon's memoirs | takes over a failing newspaper | goes on trial for an act of mercy
        | learns that an old photograph is a lie"""),
    "Family": _cut("""hides an escaped elephant from the authorities | finds a map inside a school piano
        | is put in charge of a summer camp nobody wanted | coaches the worst football team in the league
        | discovers a secret passage under the playground | must save the museum before the holidays end
        | adopts a dog that can tell the time | builds a soapbox car to win back a lost trophy
        | promises a class of ten-year-olds a real snowman in June | uncovers a plot to cancel the school play
        | inherits a merry-go-round that grants small wishes | rescues a baby otter from a travelling fair
        | teaches a nervous parrot to read maps | enters a haunted go-kart in the town derby
        | is asked to guard a giant pumpkin overnight | finds that the school hamster is a spy
        | starts a postal service for lost toys | must put on a circus with no animals and no tent"""),
    "Fantasy": _cut("""steals the name of a sleeping king | wakes a dragon by reading aloud
        | is sent to bargain with the queen of shadows | finds a sword that refuses to fight
        | breaks an enchantment and frees the wrong prisoner | trades seven years for a single spell
        | becomes the unwilling heir to a throne of glass | is cursed to speak only in prophecy
        | must carry a stolen star to the edge of the realm | discovers a gate that opens once a century
        | teaches forbidden magic to a clumsy giant | hears a statue whisper {P} name
        | is hired to tutor a prince made of paper | buys a cloak that remembers its owners
        | mends a mirror and steps through the crack | wins a castle in a game of riddles
        | is summoned to cure a goblin of insomnia | forges a key to the month of May"""),
    "Horror": _cut("""hears knocking inside a sealed wall | takes the night shift in a house with no mirrors
        | digs up a coffin that was buried empty | restores a portrait that ages by the hour
        | is invited to a wake for someone still breathing | finds {P} own name on a century-old headstone
        | records a voice no living throat could make | unlocks a nursery that keeps locking itself
        | begins to share dreams with a hanged man | buys an organ that plays after midnight
        | notices that the scarecrows have moved closer | wakes each night at the same open cellar door
        | inherits a doll that knows too many secrets | agrees to sit with a corpse until sunrise
        | plays back a tape of tomorrow's screams | finds teeth growing in the garden wall
        | is hired to translate a book bound in skin | recognises every face in a plague-year fresco"""),
    "Musical": _cut("""has six weeks to save a doomed revue | writes a hit song for a rival's voice
        | is thrust into the lead on opening night | forms a dance troupe out of striking waiters
        | auditions for a show that does not exist yet | sings in secret under another name
        | turns a failed operetta into a street sensation | bets the band's last wages on a single concert
        | teaches a tone-deaf tycoon to sing | falls into step with a tap-dancing thief
        | stages a forbidden ballet in a warehouse | inherits an orchestra of thirteen drummers
        | finds a lost score under the stage | joins a choir of retired burglars
        | swaps lyrics with an anonymous pen-friend | conducts a symphony for typewriters
        | must turn a boxing hall into a ballroom | records one perfect song and cannot repeat it"""),
    "Mystery": _cut("""receives a confession to a murder that has not happened | finds a body in a locked reading room
        | is hired to trace a woman who never existed | solves a crossword that names a killer
        | reopens the file on a drowned heiress | notices that every witness tells the same story
        | inherits a house with one room too many | identifies a dead stranger by {P} own handwriting
        | is the last person to see a vanished violinist | searches for a painting that five people claim to own
        | recognises a missing minister in an old photograph | counts thirteen guests at a dinner for twelve
        | buys a clock with a confession inside | is asked to authenticate a dead man's last novel
        | overhears two identical alibis | traces a ransom note to a famous poet
        | finds the missing page of a coroner's report | receives a postcard from a drowned professor"""),
    "Romance": _cut("""answers a love letter meant for someone else | falls for the rival bidder at an auction
        | agrees to pose as a former flame's fiancé | meets a stranger every year on the same date
        | shares a sleeping compartment with a runaway bridegroom | writes love songs for a shy employer
        | hears a proposal through the wrong telephone | keeps a rendezvous ten years late
        | falls in love with a voice on a recording | loses a ring that belongs to someone else
        | dances one night with a fugitive poet | translates the letters of two secret lovers
        | repairs a watch engraved with {P} own initials | is seated beside an old flame at a wedding
        | advertises for a dance partner and gets two | elopes with the wrong suitcase
        | hears a rival recite a poem {S} wrote | rents a costume with a love note in the pocket"""),
    "Sci-Fi": _cut("""takes command of a failing orbital outpost | receives a distress call from tomorrow
        | wakes ninety years too early aboard a colony ship | finds a message coded in {P} own dreams
        | repairs an android that refuses to be switched off | discovers a second moon nobody else can see
        | volunteers for the first memory transplant | is cloned without consent and meets the result
        | intercepts a signal that answers back | smuggles a sentient machine past quarantine
        | repeats the same eleven minutes until a reactor fails | maps a planet that redraws itself
        | wins a lottery for the last seat off the planet | teaches an alien ambassador to lie
        | finds a fossil with a serial number | sells dreams to people who can no longer sleep
        | is promoted by a machine with a grudge | meets a time traveller who has lost the date"""),
    "Thriller": _cut("""overhears a murder on a crossed line | finds {P} own face in a classified file
        | is given the wrong briefcase by a dying agent | uncovers a leak at the highest level
        | has one night to prove a suicide was staged | is followed by a man who died last year
        | decodes a message intended for an assassin | witnesses a kidnapping that the police deny
        | signs a contract {S} should have read | is forced to negotiate for a hostage {S} despises
        | discovers a hidden camera and then a second | notices a forged signature worth nine million
        | takes a call meant for a dead minister | is locked in a vault with the prime suspect
        | testifies against a man who is never seen | finds a passport with three different names
        | has to deliver a ransom to an empty theatre | recognises a bomber's voice on the radio"""),
    "War": _cut("""crosses enemy lines with a forged pass | is ordered to hold a bridge that no longer exists
        | hides a wounded enemy pilot | must deliver the ceasefire before the next attack
        | finds a traitor inside {P} own regiment | stays behind to blow up the radio mast
        | translates for an officer accused of treason | leads a lost platoon back to the front
        | smuggles medicine through a siege | carries a dead soldier's letters to the wrong address
        | breaks a code one day too late | is captured on the final day of the campaign
        | guards a prisoner who knows the password | is promoted after a battle nobody won
        | steals a general's train to move the wounded | finds a piano in a bombed-out mess hall
        | must choose which bridge to burn | sends a false weather report to two armies"""),
    "Western": _cut("""pins on a badge nobody else wants | rides in to collect a ten-year-old debt
        | is hired to protect the gang {S} once hunted | wins a gold claim in a crooked card game
        | comes to bury an outlaw who is not quite dead | stands up to a railroad baron's hired guns
        | must bring a condemned gunfighter to trial | finds a bounty on {P} own head
        | inherits a saloon and the feud attached to it | escorts a payroll wagon past an ambush
        | refuses a duel and is branded a coward | trades a famous pistol for a stranger's freedom
        | buys a horse that belongs to a hanged man | deals cards for the fastest gun in the territory
        | takes a telegram to a sheriff who cannot read | opens a bank with a stolen safe
        | agrees to be the jury in a crooked trial | hides a wounded rustler beneath the church floor"""),
}

STAKES: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("""a detonator is counting down | every exit is watched | the hired guns are gaining
        | the ammunition is nearly gone | somebody has cut the brakes | the deadline moves up by an hour
        | a sniper is already in position"""),
    "Adventure": _cut("""a rival expedition is a day ahead | the compass no longer points north
        | half of the map is a forgery | the crew is close to mutiny | the guide has vanished with the supplies
        | provisions will last a fortnight | an old curse is taken seriously by everyone on board"""),
    "Animation": _cut("""the ink is starting to run | the clock tower has learned to sing | the wind wants its hat back
        | bedtime is approaching | colours have begun to go missing | a jealous broomstick is in pursuit
        | the stars are being put away"""),
    "Comedy": _cut("""the inspector arrives on Thursday | the guests will not leave | the soufflé has become evidence
        | nobody has read the contract | the photographs are already in the newspaper
        | a real expert has just checked in
        | two invitations carry the same address"""),
    "Crime": _cut("""the alarm codes have been changed | the fence wants a bigger cut | someone is wearing a wire
        | a detective has begun to ask questions | the banknotes are marked | an accomplice has started to talk
        | the gang boss wants an answer by Friday"""),
    "Documentary": _cut("""an archive is due to be pulped | the last witnesses are nearly ninety
        | the official record disagrees | the funding lasts until March | a lawyer has asked to see the footage
        | the sponsors want a different version | three key tapes are missing"""),
    "Drama": _cut("""the hearing is set for Monday | the rent is four months behind | a rumour has reached the newspaper
        | an old contract is still in force | the doctors disagree | the inheritance is contested
        | a former employer knows too much"""),
    "Family": _cut("""the big day is Saturday | the headmaster suspects everything | somebody has told the mayor
        | the holidays are nearly over | a pompous inspector is on the way | the pocket money has run out
        | the whole school is watching"""),
    "Fantasy": _cut("""the spell wears off at sunrise | the crown chooses its own wearer | a magic gate is closing
        | the prophecy has been misread | the giants are awake | an envious wizard has laid a trap
        | the old gods want payment"""),
    "Horror": _cut("""the knocking has moved upstairs | the cellar is deeper than the plans allow
        | the dead keep regular hours | the candles will not stay lit | something has scratched a name into the door
        | the mirrors have been turned around | a pale figure comes nearer each evening"""),
    "Musical": _cut("""the leading lady has lost her voice | a bank has bought the theatre
        | opening night is nine days off
        | the orchestra wants paying | the big number has no ending | the critics have already booked
        | the costumes are impounded"""),
    "Mystery": _cut("""someone has stopped all the clocks | a key witness is lying | the will has a second page
        | the victim's diary skips a week | the alibis match too well | a second body is found
        | the fingerprints belong to nobody"""),
    "Romance": _cut("""an engagement is already announced | the letters have been opened
        | the last dance has been promised
        | a former flame has taken the next table | a farewell party is on Saturday | the ring does not fit
        | a telegram arrives too early"""),
    "Sci-Fi": _cut("""the oxygen will last six days | the central computer has begun to dream
        | the signal is getting closer | the colony votes at midnight | time has started to run backwards
        | the backup copy remembers more | gravity is failing deck by deck"""),
    "Thriller": _cut("""the file has been erased | the line is tapped | a witness has taken back every word
        | the deadline is midnight | someone is using {P} passport | the safe house is empty
        | the ministry denies everything"""),
    "War": _cut("""the guns start again at dawn | the orders come from a dead general | every bridge is mined
        | the radio has gone silent | the regiment is pulling out | the truce is only a rumour
        | spies have copied the plans"""),
    "Western": _cut("""the noon train brings three gunmen | the sheriff has been bought
        | the saloon takes bets on the outcome | the bounty has doubled | a gallows is already built
        | the claim was never registered | a rifle has gone missing from the jail"""),
}

FILM_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("chase picture | action film | pursuit | showdown"),
    "Adventure": _cut("adventure | quest | treasure hunt | voyage"),
    "Animation": _cut("cartoon | animated fable | hand-drawn tale | picture-book tale"),
    "Comedy": _cut("comedy | caper | comedy of errors | comedy of manners"),
    "Crime": _cut("heist film | crime story | noir | underworld tale"),
    "Documentary": _cut("documentary | portrait | film essay | chronicle"),
    "Drama": _cut("drama | chamber piece | character study | story"),
    "Family": _cut("children's film | holiday picture | matinee | playground tale"),
    "Fantasy": _cut("fairy tale | fantasy | legend | saga"),
    "Horror": _cut("ghost story | horror film | chiller | haunted-house film"),
    "Musical": _cut("musical | backstage story | song-and-dance film | revue"),
    "Mystery": _cut("whodunit | mystery | puzzle | detective story"),
    "Romance": _cut("romance | love story | courtship | two-hander"),
    "Sci-Fi": _cut("space story | science-fiction tale | speculative drama | time puzzle"),
    "Thriller": _cut("thriller | conspiracy film | cat-and-mouse story | spy story"),
    "War": _cut("war film | front-line story | siege drama | war story"),
    "Western": _cut("Western | frontier tale | gunfighter story | horse opera"),
}

# Objects that date a film: (first year in which they are current, objects).
PROPS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (
        0,
        _cut("""a crumpled telegram | a gramophone record with no label | a ration book | a hand-cranked camera
        | a cloakroom ticket | a pocket watch stopped at four"""),
    ),
    (
        1955,
        _cut("""a reel of undeveloped film | a transistor radio | a jukebox token | a carbon copy
        | a punched card | a monogrammed lighter"""),
    ),
    (
        1970,
        _cut("""an unlabelled cassette | a Polaroid of a stranger | a payphone number | a telex in code
        | a matchbook from a closed club | a reel-to-reel tape"""),
    ),
    (
        1985,
        _cut("""a floppy disk | an answering-machine tape | a pager that will not stop | a video cassette
        | a faxed map | a rented camcorder"""),
    ),
    (
        1998,
        _cut("""a burnt CD | a prepaid phone | an anonymous email | a digital photograph | a lost laptop
        | a deleted chat log"""),
    ),
    (
        2010,
        _cut("""a cracked phone | a forwarded voice message | a drone recording | a shared password
        | an old hard drive | a photo tagged by mistake"""),
    ),
)

# --------------------------------------------------------------------------------------------------------------------
# Sentence frames
# --------------------------------------------------------------------------------------------------------------------

OPENINGS: Final[tuple[str, ...]] = (
    "{place}, a {kadj} {job} {hook}.",
    "{name} is a {kadj} {job} {place} who {hook}.",
    "Nobody {place} expects much of {name}, a {kadj} {job}, until {S} {hook}.",
    "{kapp}, {name} has spent {span} as a {job} {place}, and now {S} {hook}.",
    "{span} into {P} career as a {job} {place}, {name}, {kapp}, {hook}.",
    "{prop} turns up {place}, and a {kadj} {job} {hook}.",
    "It is {year}, and {place} a {kadj} {job} {hook}.",
    "Life {place} is orderly enough until {name}, a {kadj} {job}, {hook}.",
    "A {kadj} {job} {place}, {name} {hook}.",
    "{name} works {place} as a {job}, {kapp}; one {day}, {S} {hook}.",
    "One {day} {place}, {name}, a {kadj} {job}, {hook}.",
    "A {kadj} {job} {place} {hook}, just as {stake}.",
    "{kapp}, a {job} {place} {hook}.",
    "The {kadj} {job} {place} is called {name}, and within a week {S} {hook}.",
    "The trouble {place} starts on the {day} that {name}, a {kadj} {job}, {hook}.",
    "Newly arrived {place}, a {kadj} {job} called {name} {hook}.",
    "{place}, as {wcl}, a {kadj} {job} {hook}.",
    "Guided by {prop}, a {kadj} {job} {place} {hook}.",
    "{name}, a {job} {place}, {kapp}, {hook}.",
    "{year}: {place}, {name} the {kadj} {job} {hook}.",
    "Who would guess that {name}, a {kadj} {job} {place}, {hook}?",
    "Meet {name}, a {job} {place}, {kapp}, who {hook}.",
    "On an ordinary {day} {place}, a {job}, {kapp}, {hook}.",
    "{stake} when a {kadj} {job} {place} {hook}.",
    "{name} {hook}, which is not what anyone {place} would expect of a {kadj} {job}.",
    "There are quieter lives than that of {name}, a {kadj} {job} {place}, who {hook}.",
    "They still talk {place} about {name}, the {kadj} {job} who {hook}.",
    "Set {place}, the story opens as a {kadj} {job} {hook}.",
    "It starts with {prop}; then {name}, a {kadj} {job} {place}, {hook}.",
    "Late in {year}, a {job} {place}, {kapp}, {hook}.",
    "By {year}, {name} is the only {job} left {place}; {kapp}, {S} {hook}.",
    "Every {day} is the same {place}, until {name}, a {kadj} {job}, {hook}.",
)

# Middles that show kinship and wit.
COMPANY_MIDDLES: Final[tuple[str, ...]] = (
    "{N} goes about it {kco}, never far from {wnp}.",
    "Working {kco}, {S} {wadv} pursues the matter {terr}.",
    "{kco}, {N} comes face to face with {wnp}.",
    "{S} sets off {terr} {kco}, delayed only by {wnp}.",
    "What {S} begins {kco} ends with {wnp}.",
    "First comes {prop}, then {wnp}, and {N} presses on {kco}.",
    "{N} {wadv} signs the papers and carries on {kco}.",
    "Because {stake}, {S} must work {kco}, and {witcl}.",
    "Somewhere between {prop} and {wnp}, {N} learns to manage {kco}.",
    "Everything {S} tries {kco} leads back to {wnp}.",
    "{N} keeps going {kco} while {witcl}.",
    "{S} {wadv} refuses to give up and heads {terr} {kco}.",
    "{S} plans to act {kco}, and has not reckoned with {wnp}.",
    "{stake}, so {N} {wadv} starts over, {kco}.",
    "{kco}, {S} follows {prop} {terr}, and comes upon {wnp}.",
    "It ought to be a small matter, handled {kco}, but there is also {wnp}.",
    "{S} gets ready {kco}, and {witcl}.",
    "Armed with {prop}, {N} {wadv} sets to work {kco}.",
    "To put things right {S} must go {terr} {kco}, and {witcl}.",
    "Only {wnp} stands between {M} and the answer, which {S} looks for {kco}.",
    "{N} would rather continue {kco}, but {stake}, and {witcl}.",
    "Much of the story is {wnp}, {prop}, and {M} facing both {kco}.",
    "Day after day {S} tries again {kco}, and each attempt brings up {wnp}.",
    "How {N} copes {kco}, between {wnp} and {prop}, takes up the middle hour.",
    "{S} {wadv} draws up a plan and follows it {terr} {kco}.",
    "Most of what happens next happens {kco}, and {witcl}.",
    "Asked to explain, {S} {wadv} changes the subject and slips away {terr}, {kco}.",
    "A journey {terr}, undertaken {kco}, turns up {wnp}.",
    "Since {stake}, there is no time to lose, and {S} {wadv} gets moving, {kco}.",
    "Questioned twice, {S} {wadv} shrugs it off and sets out {terr}, {kco}.",
    "{wnp} changes everything, and {N} has to improvise {kco}.",
)

# Middles that show hope and wilderness.
TURN_MIDDLES: Final[tuple[str, ...]] = (
    "{stake}, and as {wcl}, {hcl}.",
    "By the time {wcl}, {hcl}.",
    "The trail runs {terr}, and {hcl}.",
    "Then {wcl}, and a {hadj} {turn} comes to light.",
    "As {wcl}, {N} is drawn into a {hadj} bargain.",
    "{stake}; before long {wcl}, and {hcl}.",
    "A {hadj} {turn} sends {O} {terr}.",
    "When {wcl}, {N} must decide what to do about a {hadj} {turn}.",
    "A {hadj} rumour travels {terr} faster than {S} can.",
    "{hcl}, even as {wcl}.",
    "Once {wcl}, all that remains is a {hadj} {turn}.",
    "{prop} leads {O} {terr}, toward a {hadj} {turn}.",
    "Following {prop} {terr}, {S} learns that {hcl}.",
    "{stake}, and the search moves {terr} on the strength of a {hadj} {turn}.",
    "Outside, {wcl}; inside, {hcl}.",
    "Little by little, while {wcl}, {hcl}.",
    "A stranger with a {hadj} offer is waiting, and {wcl}.",
    "But {stake}, {wcl}, and {hcl}.",
    "The {hadj} {turn} at the centre of it all carries {O} {terr}.",
    "Nothing prepares {M} for a {hadj} {turn}, or for the journey {terr}.",
    "{wcl}, {stake}, and a {hadj} {turn} can no longer be avoided.",
    "It takes a trip {terr} to reveal that {hcl}.",
    "Halfway through, {wcl} and {hcl}.",
    "What looks like an ending, when {wcl}, proves to be a {hadj} {turn}.",
    "Then word comes that {stake}, and {hcl} just as {wcl}.",
    "The chase goes {terr}; meanwhile, {hcl}.",
    "Each step {terr} makes it clearer that {hcl}.",
    "Before {wcl}, {S} will have to live with a {hadj} {turn}.",
    "{N} escapes {terr} with a {hadj} {turn} to think over.",
    "Word of a {hadj} {turn} spreads, and {hcl} the moment {wcl}.",
)

CLOSINGS: Final[tuple[str, ...]] = (
    "A {tadj} {film} about {hnp} and {knp}.",
    "What emerges is a {tadj} {film}, as interested in {knp} as in {hnp}.",
    "In the end {hcl}, and {S} is left with {wnp}.",
    "Seen to the end, this {tadj} {film} is a story of {hnp} and {knp}.",
    "It is a {tadj} {film} in which {hcl}.",
    "Few films have as much to say about {knp}, or about {hnp}, and {witcl}.",
    "Between {knp} and {hnp}, this {tadj} {film} makes up its mind late.",
    "{hcl}, and {witcl}.",
    "The last act, {tadj} to the final shot, turns on {hnp}.",
    "Before the credits {hcl}, with {wnp} still to be explained.",
    "A {tadj} {film} whose real subject is {hnp}.",
    "Where another {film} would stop, this one goes on to {hnp}, and {witcl}.",
    "{N} came for answers and finds {hnp}, along with {wnp}.",
    "Its {tadj} finale weighs {knp} against {hnp}.",
    "As the {tadj} second half makes plain, {hcl}.",
    "By the closing scene {hcl}, and even {wnp} makes sense.",
    "At heart this is a {tadj} {film} about {knp}, and about {hnp}.",
    "{witcl}, but underneath runs a current of {hnp}.",
    "Sooner or later {hcl}; until then, {witcl}.",
    "The lesson, if this {tadj} {film} has one, concerns {hnp}.",
    "A {hadj} ending awaits, by way of {wnp}.",
    "Not every {film} finds room for {hnp}, {knp} and {wnp}.",
    "{N} has one {hadj} choice left, and {witcl}.",
    "The final reel is {tadj}, and its last word is {hnp}.",
    "All that is left is {wnp}, and {hnp}.",
    "Every road leads to {hnp} in this {tadj} {film}.",
    "{hcl} in a {tadj} finale that lingers over {knp}.",
    "{N} {wadv} prepares for {hnp}, {kco}.",
    "By then {hcl}, and {N} can only {wadv} accept what comes.",
    "{S} {wadv} makes one last journey {terr}, toward {hnp}.",
    "What waits at the end of it is {wnp}, and, more surprisingly, {hnp}.",
    "It ends {terr}, with {hnp}, {wnp} and a {hadj} farewell.",
    "Finally {hcl}, and {N} {wadv} learns a thing or two about {knp}.",
    "Ahead wait {hnp} and {wnp}, and {S} goes to meet both {kco}.",
    "On the last night {hcl}, and {S} must {wadv} choose what to keep.",
    "When {wcl} at last, {S} {wadv} makes a {hadj} decision.",
    "The rest is {hnp}, {wadv} told.",
    "A {tadj} closing chapter, in which {hcl}, is given over to {knp}.",
    "From there to {hnp} is a short step, and {witcl}.",
    "{N} {wadv} goes on {terr}, {kco}, as the credits roll.",
    "As a {tadj} {film} it is unusual; as a study of {hnp}, more so.",
    "Whichever prevails, {knp} or {hnp}, {witcl}.",
    "{S} ends up {terr} with {wnp}, {kco}, and {hcl}.",
    "For all that, {witcl}, and {hcl}.",
    "Along the way come {wnp}, {knp} and, last of all, {hnp}.",
    "One {hadj} {turn} remains, and {S} {wadv} takes it to heart.",
    "The subject is {knp}, the manner is {tadj}, and the destination is {hnp}.",
)

TURNS: Final = _cut("secret | discovery | promise | bargain | offer | reunion | mistake | decision")
SPANS: Final = _cut("nine years | two decades | half a lifetime | eleven months | six years")
DAYS: Final = _cut("Monday | Tuesday | Wednesday | Thursday | Friday | Sunday | Saturday | evening | morning")

HEROINES: Final = _cut("""Ilse | Marta | Noor | Saoirse | Yuki | Amara | Dalia | Greta | Ines | Lucía | Zofia | Tamsin
    | Priya | Odile | Wanda | Hana | Leila | Bruna | Senna | Mei""")
HEROES: Final = _cut("""Anton | Kofi | Ruben | Tomás | Emil | Hiro | Samir | Viktor | Ewan | Jonas | Matteo | Arjun
    | Luc | Osei | Piotr | Nils | Farid | Bao | Desmond | Ilya""")

# --------------------------------------------------------------------------------------------------------------------
# Titles
# --------------------------------------------------------------------------------------------------------------------

TITLE_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("""Fuse | Impact | Gauntlet | Payload | Throttle | Knuckle | Deadbolt | Crossfire | Piston
        | Ricochet"""),
    "Adventure": _cut("Meridian | Sextant | Caravan | Compass | Atlas | Cargo | Passage | Ledger | Idol | Expedition"),
    "Animation": _cut("Kite | Teapot | Button | Umbrella | Crayon | Pocket | Whistle | Balloon | Thimble | Marble"),
    "Comedy": _cut("Bungle | Bouquet | Soufflé | Trousers | Understudy | Duke | Waltz | Hiccup | Raffle | Pickle"),
    "Crime": _cut("Alibi | Ledger | Vault | Cut | Fence | Stakeout | Skeleton Key | Ransom | Dime | Blackjack"),
    "Documentary": _cut("""Record | Archive | Signal | Testimony | Workshop | Portrait | Census | Notebook | Tape
        | Dispatch"""),
    "Drama": _cut("""Verdict | Inheritance | Letter | Season | Witness | Lesson | Threshold | Examination | Debt
        | Reply"""),
    "Family": _cut("Elephant | Snowman | Treehouse | Holiday | Otter | Carousel | Scooter | Trophy | Puppy | Lantern"),
    "Fantasy": _cut("Dragon | Crown | Rune | Enchanter | Throne | Oracle | Goblet | Scabbard | Moonstone | Spell"),
    "Horror": _cut("Crypt | Cellar | Wake | Marrow | Hanging | Séance | Scarecrow | Coffin | Vigil | Bell-Ringer"),
    "Musical": _cut("""Encore | Chorus | Overture | Tango | Serenade | Footlight | Trombone | Refrain | Ballad
        | Matinée"""),
    "Mystery": _cut("Cipher | Clue | Riddle | Inkwell | Locket | Keyhole | Guest | Handwriting | Puzzle | Portrait"),
    "Romance": _cut("""Valentine | Rendezvous | Proposal | Bride | Sonnet | Kiss | Perfume | Ribbon | Courtship
        | Honeymoon"""),
    "Sci-Fi": _cut("Orbit | Android | Nebula | Airlock | Paradox | Reactor | Satellite | Module | Eclipse | Clone"),
    "Thriller": _cut("""Dossier | Wiretap | Hostage | Briefcase | Informant | Deadline | Signature | Double | Leak
        | Tail"""),
    "War": _cut("Battalion | Ceasefire | Bridge | Regiment | Trench | Convoy | Armistice | Sapper | Flare | Bugle"),
    "Western": _cut("Saddle | Bounty | Gallows | Spur | Stagecoach | Marshal | Holster | Saloon | Drifter | Lasso"),
}

TITLE_ADJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("Burning | Armoured | Explosive | Twelve-Gauge | Bulletproof | Reckless | Steel"),
    "Adventure": _cut("Uncharted | Golden | Sunken | Wandering | Forgotten | Brass | Fabled"),
    "Animation": _cut("Clockwork | Paper | Striped | Purple | Tiny | Tangled | Upside-Down"),
    "Comedy": _cut("Accidental | Reluctant | Borrowed | Spare | Unlikely | Second-Hand | Wrong"),
    "Crime": _cut("Crooked | Marked | Counterfeit | Stolen | Velvet | Nickel | Double-Locked"),
    "Documentary": _cut("Unwritten | Recorded | Annual | Public | Missing | Working | Plain"),
    "Drama": _cut("Unsent | Second | Silver | Late | Ordinary | Narrow | Glass"),
    "Family": _cut("Runaway | Magnificent | Secret | Wobbly | Smallest | Marvellous | Lost-and-Found"),
    "Fantasy": _cut("Enchanted | Crystal | Thrice-Cursed | Whispering | Ivory | Sleeping | Moonlit"),
    "Horror": _cut("Hollow | Bloodless | Pale | Buried | Crawling | Sealed | Unquiet"),
    "Musical": _cut("Syncopated | Dancing | Tuneful | Limelight | Sequinned | Swinging | Off-Key"),
    "Mystery": _cut("Locked | Thirteenth | Vanishing | Emerald | Unsigned | Invisible | Left-Handed"),
    "Romance": _cut("Scarlet | Midnight | Parisian | Candlelit | Perfumed | April | Satin"),
    "Sci-Fi": _cut("Quantum | Synthetic | Distant | Magnetic | Orbital | Infrared | Electric"),
    "Thriller": _cut("Silent | Cold | Classified | Falsified | Black | Final | Deep-Cover"),
    "War": _cut("Iron | Scattered | Winter | Fallen | Ninth | Grey | Unarmed"),
    "Western": _cut("Dusty | Copper | Rattlesnake | Crimson | Hard | Six-Gun | Whiskey"),
}

TITLE_ABSTRACTS: Final = _cut("""Mercury | Gravity | Salt | Ash | Velvet | Saturday | Silence | Arithmetic
        | Amber | Static
    | Thunder | Porcelain | Zero | Smoke | Brass | Tuesday | Ink | Cobalt | Echoes | Varnish | Quicksilver
    | Daylight | Copper
    | Marzipan | Chalk | Friday | Velocity | Tin | Sugar | Geometry | Feathers | Vinegar | Lightning | Parchment
    | Indigo""")
TITLE_NAMES: Final = _cut("""Orsolya | Tancredi | Belmira | Quillon | Mireille Vance | Ottoline | Casimir
        | Ludovic Marsh
    | Perpetua | Anselm | Ignatz | Zenobia Park | Corvin | Delphine Oyelaran | Bartholomew Tuck | Señora Quill | Renée
    | Old Havelock | Dr. Almaraz | Miss Pettibone | Captain Ferreira | Madame Zuloaga | Inspector Vaskó | Little Osgood
    | Philomena Crane | Baltasar | Aunt Drusilla | Signor Bellavoce | Kasimira | Fenwick Adeyemi | Doña Clementina
    | Sergeant Okpara | Lord Wimberley | Thaddeus Bloom | Hyacinthe | Judge Kowalczyk | Esperanza Dunn | Uncle Lazlo
    | Professor Nakagami | Rosalba | Sister Benedetta | Jasper Nwosu | Leopoldine | Mister Yardley | Minna Sørby
    | Gideon Frost | Colonel Batthyány | Violetta Pym""")
TITLE_PLACES: Final = _cut("""Marrowgate | Port Solace | Cinder Row | Valdemora | Kestrel Street
        | Ostrava Junction | Lisle
    | Santa Irena | Gallowglass | Montéclair | Halvorsund | Camden Lock | Tarn Abbey | Bellwether | São Brás
    | Ashkelon Road
    | Vermillion Heights | Tregarrow | Little Cadiz | Orlov Square | Pinchbeck Lane | Saltmarket | Novy Dvor
    | Côte-Rouge | Alder Court | Mirador | Thistlewick | Calle Azul | Battersby | Grand Hotel Lysander | Rue Barbette
    | Umbria Terrace | Hallowdene | Puerto Lindo | Zamora Street | Sankt Velten | Greymouth Pier | Lantern Alley
    | Quarter Moon Bay | Zarzuela | Wexcombe | Nightingale Square | Köprülü | El Dorado Avenue | Fort Larkin""")
TITLE_TIMES: Final = _cut("""Midnight | Noon | Half Past Nine | Daybreak | the Eleventh Hour | Closing Time
        | Five to Seven
    | High Tide | Last Orders""")
TITLE_NUMBERS: Final = _cut("""Two | Three | Four | Five | Six | Seven | Nine | Eleven | Twelve | Thirteen | Forty
        | Ninety-Nine""")
TITLE_GERUNDS: Final = _cut("""Chasing | Counting | Burying | Borrowing | Forgetting | Selling | Painting | Outrunning
    | Waking | Raising | Finding | Stealing""")
TITLE_PATTERNS: Final[tuple[str, ...]] = (
    "The {adj} {noun}",
    "The {adj} {noun}",
    "The {noun} of {where}",
    "{abstract} and {abstract2}",
    "{who}",
    "{who}'s {noun}",
    "{where}",
    "{number} {nouns} for {who}",
    "{number} {adj} {nouns}",
    "{gerund} the {noun}",
    "{gerund} {who}",
    "The {noun} at {time}",
    "{noun} {numeral}",
    "{who}: The {adj} {noun}",
    "{where}: A {noun}",
    "A {noun} for {who}",
    "{abstract} {noun}",
    "Beyond {where}",
    "No {noun} in {where}",
    "The {noun} and the {noun2}",
    "{noun}, {noun2}, {abstract}",
    "Return to {where}",
    "Until {time}",
    "The {where} {noun}",
    "What {who} Knew",
    "My {adj} {noun}",
    "{adj} {abstract}",
    "The {noun} Wore {abstract}",
    "{time} in {where}",
)
TITLE_NUMERALS: Final = _cut("II | III | 9 | 47 | 101 | Zero | Nine | IV")

# --------------------------------------------------------------------------------------------------------------------
# People: one block per region, given names then family names
# --------------------------------------------------------------------------------------------------------------------

PEOPLE: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (
        _cut("""Aldith | Corwin | Maudie | Percival | Tamsin | Rufus | Hester | Alban | Winifred | Jocelyn
        | Barnaby | Isolde"""),
        _cut("""Thackwray | Ormsby-Lane | Quillfeather | Braithwell | Penhallick | Stannage | Oxenrow | Larkmoor
        | Tibbs | Wraxley"""),
    ),
    (
        _cut("""Océane | Thibault | Mireille | Gaspard | Solène | Rémy | Clothilde | Fabrice | Apolline | Bastien
        | Lucienne"""),
        _cut("""Verdelin | Castagnou | Marchebois | Lavergnolle | Dutertrac | Fontanelle | Roquebrac | Sauvelin
        | Peyrault"""),
    ),
    (
        _cut("Ilario | Fiammetta | Tullio | Ornella | Corrado | Ginevra | Baldo | Loredana | Saverio | Nives | Ettore"),
        _cut("""Malaspigna | Torrevento | Bracciforte | Candelora | Quattrini | Scalabrò | Vespignano | Lanternari
        | Orsetti"""),
    ),
    (
        _cut("""Joaquín | Remedios | Anselmo | Ximena | Fermín | Macarena | Eusebio | Paloma | Leandro | Itziar
        | Nicanor"""),
        _cut("Villaseca | Arrizabal | Montecruz | Quintavalle | Zaldúa | Carrascosa | Belmontes | Echevarne | Otazo"),
    ),
    (
        _cut("""Anneliese | Gottfried | Liesl | Wolfram | Hedwig | Detlef | Roswitha | Lothar | Irmgard | Thilo
        | Birgitta"""),
        _cut("""Kesselmann | Vogelsand | Rautenberg | Steinhilber | Achternbach | Dornhagen | Löwenfels | Pfannkuch
        | Zieglau"""),
    ),
    (
        _cut("Sigrun | Torvald | Aino | Leif | Solveig | Eskil | Ragna | Jorma | Ylva | Halvard | Tuuli | Asbjørn"),
        _cut("Lindqvarn | Halvorstad | Rautavuo | Bergslund | Nyhammer | Østervik | Kallionen | Stormdal | Fjeldgaard"),
    ),
    (
        _cut("""Bogumił | Katarzyna | Vratislav | Ludmila | Zdeněk | Jadwiga | Miroslav | Danica | Tihomir | Olena
        | Yaryna"""),
        _cut("Wronkowska-Bell | Hradecký | Zawistal | Petrovac | Kolarik | Brzezan | Dovzhyk | Marušin | Sikoravec"),
    ),
    (
        _cut("""Adaeze | Kwabena | Folasade | Chidi | Temperance | Obinna | Yewande | Sipho | Thandeka | Abeni
        | Kojo | Makena"""),
        _cut("""Okonjide | Asantewa-Boadi | Adeyelu | Nkosinathi | Mbatharu | Ezeanya | Owusansah | Dlaminyo
        | Kariukana"""),
    ),
    (
        _cut("""Parveen | Devdutt | Meenakshi | Ranveer | Ishwari | Hariharan | Suhasini | Jahangir | Nilufar
        | Tanmoy | Padma"""),
        _cut("""Bhattarao | Iyengode | Chaudhrani | Sanyalkar | Wickramatunge | Qureshan | Mukhertal | Deshpalkar
        | Rajakone"""),
    ),
    (
        _cut("Haruko | Shinsuke | Ayame | Kenjiro | Chizuru | Tatsuo | Fumika | Noboru | Sayoko | Masahide | Tomoe"),
        _cut("Arimoto-Sen | Kuzuhara | Shirakane | Minazuki | Tobishima | Hoshinaga | Urabe | Kagetsu | Yanagura"),
    ),
    (
        _cut("""Meiling | Zhongwei | Soo-ah | Dae-jung | Xiulan | Guowei | Hye-rim | Jianyu | Ngoc | Quoc Bao
        | Seung-il"""),
        _cut("Ouyang-Reed | Namgoong | Lianshu | Sunwoo | Tranh | Hwangbo | Shangguan | Phamvan | Duanmu"),
    ),
    (
        _cut("Samira | Tarek | Yasmine | Ghassan | Shirin | Behrouz | Nesrin | Orhan | Dalal | Idris | Rivka | Amnon"),
        _cut("""al-Qasimar | Haddadian | Benyoussouf | Farahmandi | Karagözlü | Mansourel | Tehranchi | Ben-Avishar
        | Yıldıray"""),
    ),
    (
        _cut("Iracema | Evaristo | Conceição | Otávio | Yurac | Wayra | Délcio | Marisol | Jurandir | Nayeli | Tupaq"),
        _cut("""Cavalcante-Rosa | Tavarinho | Quispeyta | Monteagudo | Sarmenteira | Guarachi | Pindorama
        | Albuquerra | Huamanca"""),
    ),
    (
        _cut("""Merrin | Tāne | Darcy | Aroha | Lachlan | Moana | Clementine | Beau | Loretta | Ezekiel | Savannah
        | Dashiell"""),
        _cut("""Wetherill-Poe | Ngatairua | Calloway-Finch | Rutherglade | Tamahori-Lee | Dunmarrow | Hatchett
        | Boudreauville"""),
    ),
)

# --------------------------------------------------------------------------------------------------------------------
# Tags
# --------------------------------------------------------------------------------------------------------------------

GENRE_TAGS: Final[dict[str, tuple[str, ...]]] = {
    "Action": _cut("""car chase | explosions | stunts | martial arts | shootout | one-man army | hijacking
        | fight scenes"""),
    "Adventure": _cut("treasure | expedition | swashbuckler | map | voyage | lost temple | explorers | quest"),
    "Animation": _cut("hand-drawn | stop motion | cartoon | talking toys | painted backgrounds | puppets | animated"),
    "Comedy": _cut("""mistaken identity | screen comedy | ensemble cast | disguise | wedding | comedy duo
        | sketch humour"""),
    "Crime": _cut("heist | gangsters | noir | jewel theft | casino | police procedural | forgery | undercover"),
    "Documentary": _cut("""archive footage | interviews | true story | narrator | fly on the wall | oral history
        | biography"""),
    "Drama": _cut("""courtroom | character study | strong performances | stage adaptation | slow burn | dialogue
        | illness"""),
    "Family": _cut("all ages | school | animals | holiday film | sports team | magic toy | matinee"),
    "Fantasy": _cut("dragons | magic | sword | prophecy | enchanted object | royalty | spells | mythical"),
    "Horror": _cut("haunted house | ghosts | supernatural | jump scares | occult | gothic | cursed object | undead"),
    "Musical": _cut("dance numbers | soundtrack | backstage | show tunes | tap dance | orchestra | singing"),
    "Mystery": _cut("whodunit | detective | locked room | missing person | clues | inspector | twist ending"),
    "Romance": _cut("""love letters | love triangle | chance meeting | engagement | slow dance | courtship
        | star-crossed"""),
    "Sci-Fi": _cut("space | robots | time travel | aliens | artificial intelligence | clones | future | spaceship"),
    "Thriller": _cut("""conspiracy | suspense | espionage | surveillance | hostage | blackmail | cat and mouse
        | plot twist"""),
    "War": _cut("""battlefield | soldiers | siege | resistance | prisoners of war | codebreaking | military
        | front line"""),
    "Western": _cut("gunfight | outlaws | sheriff | bounty hunter | saloon | frontier | horses | showdown"),
}

ERA_TAGS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (0, _cut("black and white | studio era | early cinema | classic")),
    (1950, _cut("technicolor | widescreen | classic | studio era")),
    (1965, _cut("new wave | handheld camera | split screen | cult classic")),
    (1980, _cut("synth score | practical effects | cult classic | vhs favourite")),
    (1992, _cut("indie | festival hit | non-linear | grunge era")),
    (2003, _cut("digital video | early cgi | indie | festival hit")),
    (2013, _cut("streaming | drone photography | limited release | festival hit")),
)

# Words that may occur more than once in a plot.
COMMON_WORDS: Final = frozenset(
    _cut("about | after | before | their | there | these | those | where | which | while | without | until | other")
)

# Real titles that the patterns could otherwise hit upon, in lower case.
TAKEN_TITLES: Final = frozenset(
    _cut("""black gravity | double cut | gravity | paradox | the clue | the double | the guest | the hostage | the crown
        | crossfire | gauntlet | ransom | impact | deadline | hostage | orbit | eclipse | clue | the silent clue
        | valentine
        | encore | puzzle | the wake | kiss | spell | crypt | cellar | leak | double | bride | bounty | cut | atlas
        | nebula | passage | vault | crown | the golden passage | black double | the black dragon | iron bridge
        | winter bride | steel | the distant signal | the golden compass | the wrong trousers
        | the reluctant dragon | the runaway bride | the scarlet letter | the invisible guest | the iron duke
        | the stolen kiss
        | the hollow crown | the silent witness | the silver saddle | the midnight kiss | the lost letter
        | the second bride
        | the accidental witness | the unsent letter | the silent signal | the final verdict | the golden dragon
        | the secret witness | the black crown | the iron bride | the stolen bride | the pale rider
        | the vanishing witness
        | the black ledger | the cold kiss | the secret passage | the silver bullet | the hollow bride
        | the buried alibi
        | chasing dragons | the paper kite | the crimson throne | the burning throne | the last marshal
        | the black valentine
        | black ransom | sleeping dragon | the golden idol""")
)

# Pairs of word groups that no plot may mix, because one place cannot be both.
CLASHES: Final[tuple[tuple[frozenset[str], frozenset[str]], ...]] = (
    (
        frozenset(_cut("desert | wells")),
        frozenset(
            _cut("""snow | glacier | tundra | forest | pines | sea | island | ice | avalanche | tide | swamp
        | lake | wolves
            | archipelago | harbour | river | riverbank | riverside | meadows | orchard | orchards | hop-farming
            | coast | cliffs | boats
                | causeway | hedgerows | mist""")
        ),
    ),
    (
        frozenset(_cut("island | archipelago | coast | causeway | cliffs | harbour")),
        frozenset(
            _cut("""mountain | mountains | passes | glacier | avalanche | tundra | wolves | valley | river
        | riverbank""")
        ),
    ),
    (
        frozenset(_cut("glacier | tundra | ice | snow")),
        frozenset(_cut("orchard | orchards | vineyards | harvest | hay | pines | hop-farming | fruit")),
    ),
    (
        frozenset(_cut("sea | tide | causeway | archipelago")),
        frozenset(_cut("orchard | orchards | fruit | vineyards | fields | hop-farming | harvest | hay | barns | farm")),
    ),
    (frozenset(_cut("subway | downtown | skyscrapers")), frozenset(_cut("village | farm | lake"))),
    (frozenset(_cut("widowed | married | marriage")), frozenset(_cut("divorced | separated | unattached"))),
)
